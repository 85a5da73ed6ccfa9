package main

import (
	"go/ast"
	"go/token"
	"slices"
	"testing"
)

// writers are where the terminal itself may be mentioned, by folder: the function, and
// what it may mention.
var writers = map[string]map[string][]string{
	"cmd/foyer": {
		"main":       {"os.Stdout", "os.Stderr"}, // handed to run, which puts printers before them
		"onPrinters": {".screen"},                // before it is a printer
		"term":       {".screen"},                // for Bubble Tea
		"atTerminal": {".screen"},                // looks whether it is a terminal
		"ttyInstead": {".screen"},                // as above
		"Write":      {"io.WriteString"},         // the printer's
		"printf":     {"fmt.Fprint"},             // on a printer, and cleaned before
		"line":       {"fmt.Fprintln"},           // as above
		"say":        {"fmt.Fprintln"},           // as above; it may have several lines
		"complain":   {"fmt.Fprintln"},           // as above
		"printJSON":  {"fmt.Fprintln"},           // as above
		"escaped":    {"fmt.Fprintf"},            // into memory
		"inTOML":     {"fmt.Fprintf"},            // as above
		"trust":      {"fmt.Fprint"},             // a certificate, as it was parsed: several lines
	},
	"cmd/foyer/appliance": {},
	"tui": {
		"program": {".Out"},                   // Bubble Tea's, which shows what draw returns
		"draw":    {"tea.NewView"},            // lets nothing through but text and our colours
		"tell":    {".Out", "fmt.Fprintln"},   // cleans
		"prompt":  {".Out", "io.WriteString"}, // cleans
	},
}

// forbidden are ways to a terminal past the printers.
var forbidden = []string{
	"os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println", "fmt.Fprint", "fmt.Fprintf", "fmt.Fprintln", "io.WriteString",
	"log.Print", "log.Printf", "log.Println", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf", "log.Default", "log.SetOutput",
	"slog.Default", "slog.SetDefault", "slog.Debug", "slog.Info", "slog.Warn", "slog.Error", "syscall.Write", "unix.Write",
	"tea.NewView", "tea.Printf", "tea.Println", "tea.Raw", "tea.Exec", "tea.ExecProcess", "tea.SetClipboard",
	".screen", ".Out",
}

// Nothing of the command or the screens writes to the terminal but what cleans what it
// writes: a new file finds no other way.
func TestEverythingIsWrittenThroughThePrinter(t *testing.T) {
	t.Attr("shows", "mend")
	fset, house := readHouse(t)
	found := 0
	for dir, allowed := range writers {
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
						name, pos = "."+n.Sel.Name, n.Pos()
						if x, ok := n.X.(*ast.Ident); ok && slices.Contains(forbidden, x.Name+name) {
							name = x.Name + name
						}
					case *ast.CallExpr:
						if fn, ok := n.Fun.(*ast.Ident); ok && (fn.Name == "print" || fn.Name == "println") {
							t.Errorf("%s: %s writes to standard error itself", fset.Position(n.Pos()), fn.Name)
						}
					}
					if name == "" || !slices.Contains(forbidden, name) {
						return true
					}
					found++
					if slices.Contains(allowed[within], name) {
						return true
					}
					t.Errorf("%s: %s in %s: people are written to by printf, line, say and complain (cmd/foyer/console.go), by tell, prompt and draw (tui)", fset.Position(pos), name, within)
					return true
				})
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d places found: does this test still look at the right thing?", found)
	}
}

// Words of others become a Text by hint.T, hint.Verbatim or hint.Says, which clean
// them, never as they are.
func TestTextsAreNotMadeByHand(t *testing.T) {
	fset, house := readHouse(t)
	found := 0
	for _, files := range house {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.CompositeLit)
				if !ok {
					return true
				}
				typ, ok := lit.Type.(*ast.SelectorExpr)
				if !ok || typ.Sel.Name != "Text" {
					return true
				}
				if pkg, ok := typ.X.(*ast.Ident); !ok || pkg.Name != "hint" {
					return true
				}
				found++
				for _, e := range lit.Elts {
					value := e
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						value = kv.Value
					}
					if _, constant := text(value); !constant {
						t.Errorf("%s: a Text of words that may be of others: hint.Verbatim cleans them", fset.Position(n.Pos()))
						break
					}
				}
				return true
			})
		}
	}
	if found < 20 {
		t.Errorf("only %d texts found: does this test still look at the right thing?", found)
	}
}
