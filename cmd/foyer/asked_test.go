package main

import (
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// asked are the places that wait for a person, a terminal or a pipe, by folder and
// function: what they may mention of what reads, and the tests that interrupt them, each
// by its file and the name of its case there.
var asked = map[string]map[string]struct {
	mentions []string
	tests    map[string][]string
}{
	"cmd/foyer": {
		"main":                {[]string{"os.Stdin"}, nil},                                      // handed to run
		"run":                 {[]string{".in"}, nil},                                           // handed to cobra, which reads nothing
		"atTerminal":          {[]string{".in"}, nil},                                           // looks whether it is a terminal
		"ttyInstead":          {[]string{".in"}, nil},                                           // as above
		"term":                {[]string{".in"}, nil},                                           // for the screens and the lines
		"serveCmd":            {[]string{".in"}, nil},                                           // the supervisor's hand; read beside the server
		"load":                {[]string{".in"}, map[string][]string{"load_test.go": {"load"}}}, // the lines of a restore
		"runInside":           {[]string{".in"}, nil},                                           // handed to the process that has the terminal
		"trySettings":         {[]string{"host.Interruptible"}, map[string][]string{"interrupt_linux_test.go": {"try, settings from a pipe"}}},
		"uninstall":           {[]string{"installer.LoadAnswers"}, nil},
		"theInstaller":        {[]string{"installer.LoadAnswers"}, nil},
		"examineInstallation": {[]string{"installer.LoadAnswers"}, nil},
		"confirmUninstall":    {[]string{".in", "bufio.NewReader", "tui.ReadLine"}, map[string][]string{"../../packaging/e2e/cancelled_test.go": {"uninstall", "uninstall --purge"}}},
		"agreed":              {[]string{".in", "bufio.NewReader", "tui.ReadLine"}, map[string][]string{"../../packaging/e2e/cancelled_test.go": {"change"}}},
		"typedSetting":        {[]string{".in", "bufio.NewReader", "tui.ReadLine"}, map[string][]string{"interrupt_linux_test.go": {"settings", "set", "dns.credentials"}}},
		"readLine":            {[]string{".in", "bufio.NewReader", "tui.ReadLine"}, map[string][]string{"interrupt_linux_test.go": {"restore, the words typed"}, "../../packaging/e2e/cancelled_test.go": {"a backup's words", "a restore's words"}}},
		"readOnce":            {[]string{".in", "installer.ReadAnswers", "host.Interruptible"}, map[string][]string{"interrupt_linux_test.go": {"install, answers typed", "install, answers from a pipe"}, "../../packaging/e2e/cancelled_test.go": {"answers typed", "answers from a pipe"}}},
		"tryOwner":            {[]string{".in"}, map[string][]string{"interrupt_linux_test.go": {"try, answers typed", "try, answers from a pipe"}}},
		"loadAnswers":         {[]string{"installer.LoadAnswers", "host.Interruptible"}, map[string][]string{"interrupt_linux_test.go": {"try, a password from a pipe"}}},
		"loadSettings":        {[]string{"config.Load", "host.Interruptible"}, map[string][]string{"interrupt_linux_test.go": {"settings from a pipe", "proxy, settings from a pipe", "trust, settings from a pipe"}}},
	},
	"tui": {
		"program":  {[]string{".In"}, map[string][]string{"../../packaging/e2e/cancelled_test.go": {"screens, a question", "screens, the plan", "the dashboard"}}},
		"newLines": {[]string{".In", "bufio.NewReader"}, nil},
		"ReadLine": {[]string{"host.Interruptible", ".ReadString"}, nil},
		"follow":   {[]string{"ReadLine"}, map[string][]string{"../../tui/change_test.go": {"the last word, "}}},
		"ask":      {[]string{"ReadLine"}, map[string][]string{"../../tui/interrupted_test.go": {"the question ", "the plan", "what to change", "an answer that is changed"}, "../../packaging/e2e/cancelled_test.go": {"lines, a question", "lines, the plan", "a dumb terminal"}}},
	},
}

// reading are the ways by which something could wait for a person or a pipe.
var reading = []string{
	"os.Stdin", ".in", ".In", "fmt.Scan", "fmt.Scanf", "fmt.Scanln", "fmt.Fscan", "fmt.Fscanf", "fmt.Fscanln", "bufio.NewReader", "bufio.NewReaderSize", "bufio.NewScanner",
	"io.ReadAll", "io.ReadFull", "term.ReadPassword", ".ReadString", ".ReadLine", ".ReadPassword", "tui.ReadLine", "ReadLine", "host.Interruptible", "installer.LoadAnswers", "installer.ReadAnswers", "config.Load",
}

// Nothing waits for a person but in places that are known, each with a test in which the
// first signal ends it: a new question finds no other way, and cannot be forgotten there.
func TestEveryQuestionIsInterrupted(t *testing.T) {
	t.Attr("shows", "mend2")
	fset, house := readHouse(t)
	found, called := map[string]bool{}, map[*ast.SelectorExpr]bool{}
	for dir, allowed := range asked {
		for _, f := range house[dir] {
			for _, decl := range f.Decls {
				within := ""
				if fn, ok := decl.(*ast.FuncDecl); ok {
					within = fn.Name.Name
				}
				ast.Inspect(decl, func(n ast.Node) bool {
					name, pos := "", token.NoPos
					switch n := n.(type) {
					case *ast.SelectorExpr:
						if called[n] && n.Sel.Name == "In" { // a Text in a language
							return true
						}
						name, pos = "."+n.Sel.Name, n.Pos()
						if dir == "tui" && name == ".in" { // of lines and input, which are there already
							return true
						}
						if x, ok := n.X.(*ast.Ident); ok && slices.Contains(reading, x.Name+name) {
							name = x.Name + name
						}
					case *ast.CallExpr:
						switch fn := n.Fun.(type) {
						case *ast.Ident:
							name, pos = fn.Name, n.Pos()
						case *ast.SelectorExpr:
							called[fn] = true
						}
					}
					if name == "" || !slices.Contains(reading, name) {
						return true
					}
					found[dir+" "+within+" "+name] = true
					if !slices.Contains(allowed[within].mentions, name) {
						t.Errorf("%s: %s in %s: a person is asked by tui.ReadLine, what may be a pipe is read in host.Interruptible, and a test interrupts it (asked)", fset.Position(pos), name, within)
					}
					return true
				})
			}
		}
		for within, place := range allowed {
			for _, name := range place.mentions {
				if !found[dir+" "+within+" "+name] {
					t.Errorf("%s: %s is no longer in %s", dir, name, within)
				}
			}
			waits := slices.ContainsFunc(place.mentions, func(m string) bool {
				return m == "host.Interruptible" || strings.HasSuffix(m, "ReadLine")
			})
			if waits && len(place.tests) == 0 && within != "ReadLine" {
				t.Errorf("%s: no test interrupts %s", dir, within)
			}
			for file, names := range place.tests {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Error(err)
					continue
				}
				for _, name := range names {
					if !strings.Contains(string(text), `{"`+name) && !strings.Contains(string(text), `"`+name) {
						t.Errorf("%s: no case %q in %s", within, name, file)
					}
				}
			}
		}
	}
}
