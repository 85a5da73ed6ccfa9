package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of the house that a test can keep: imports as docs/architecture.md
// draws them, a story at the head of each package, codes that are documented,
// sentences that say the same in each language.

const module = "github.com/foyer-server/foyer/"

// readHouse parses every Go file of the product, tests left out, by folder.
func readHouse(t *testing.T) (*token.FileSet, map[string][]*ast.File) {
	t.Helper()
	return readTree(t, "../..")
}

// readTree parses every Go file below root, tests and other modules left out, by folder of
// the repository.
func readTree(t *testing.T, root string) (*token.FileSet, map[string][]*ast.File) {
	t.Helper()
	fset, house := token.NewFileSet(), map[string][]*ast.File{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "build" || d.Name() == "packaging" && path != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel("../..", filepath.Dir(path))
		if err != nil {
			return err
		}
		house[filepath.ToSlash(dir)] = append(house[filepath.ToSlash(dir)], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fset, house
}

func TestImportsAreAsTheMapSays(t *testing.T) {
	doc, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\| [^|]+ \\| ([^|]*) ?\\|$").FindAllStringSubmatch(string(doc), -1) {
		allowed[row[1]] = strings.Fields(row[2])
	}
	_, house := readHouse(t)
	for dir, files := range house {
		may, ok := allowed[dir]
		if !ok {
			t.Errorf("%s is not on the map: add it to the table in docs/architecture.md, or move it to where the map says", dir)
			continue
		}
		for _, f := range files {
			for _, imp := range f.Imports {
				path, _ := strconv.Unquote(imp.Path.Value)
				room, ours := strings.CutPrefix(path, module)
				if ours && !slices.Contains(may, room) && !slices.Contains(may, "everything") {
					t.Errorf("%s imports %s: the map allows it %v. Imports go down; server/ and supervisor/ never meet; what crosses is carried by cmd/foyer (docs/architecture.md)", dir, room, may)
				}
			}
		}
	}
	for dir := range allowed {
		if _, ok := house[dir]; !ok && !strings.HasPrefix(dir, "packaging/") {
			t.Errorf("%s is on the map and not in the tree", dir)
		}
	}
}

// mostMethods is how many methods a type has at most: beyond that it is several types in one.
const mostMethods = 30

// No type does everything. Methods of one name in files for several systems are one.
func TestNoTypeDoesEverything(t *testing.T) {
	t.Attr("shows", "ground2")
	methods := map[string]map[string]bool{}
	add := func(dir string, files []*ast.File) {
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
					of := dir + "." + receiver(fn.Recv.List[0].Type)
					if methods[of] == nil {
						methods[of] = map[string]bool{}
					}
					methods[of][fn.Name.Name] = true
				}
			}
		}
	}
	for _, root := range []string{"../..", "../../packaging"} {
		_, house := readTree(t, root)
		for dir, files := range house {
			add(dir, files)
		}
	}
	most := 0
	for of, names := range methods {
		most = max(most, len(names))
		if len(names) > mostMethods {
			t.Errorf("%s has %d methods, of %d at most: it is several types in one", of, len(names), mostMethods)
		}
	}
	t.Logf("SHOW methods of one type: %d at most, of %d types", most, len(methods))
}

// receiver is the name of the type that a method is of.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func TestEachPackageTellsItsStory(t *testing.T) {
	_, house := readHouse(t)
	for dir, files := range house {
		lines := 0
		for _, f := range files {
			if f.Doc != nil {
				lines = max(lines, strings.Count(f.Doc.Text(), "\n"))
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init()", dir)
				}
			}
		}
		if lines < 3 {
			t.Errorf("%s: its package comment has %d lines; say what it hides, what it promises, who uses it", dir, lines)
		}
	}
}

// calls finds the calls of hint's functions and gives each to look.
func calls(t *testing.T, name string, look func(pos token.Position, dir string, args []ast.Expr)) {
	t.Helper()
	fset, house := readHouse(t)
	for dir, files := range house {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				switch fn := call.Fun.(type) {
				case *ast.SelectorExpr:
					if pkg, ok := fn.X.(*ast.Ident); ok && pkg.Name == "hint" && fn.Sel.Name == name {
						look(fset.Position(call.Pos()), dir, call.Args)
					}
				}
				return true
			})
		}
	}
}

func text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		a, ok1 := text(e.X)
		b, ok2 := text(e.Y)
		return a + b, ok1 && ok2
	}
	return "", false
}

func TestSentencesSayTheSameInEachLanguage(t *testing.T) {
	verb := regexp.MustCompile(`%(\[\d+\])?[-+# 0]*[\d.]*([a-zA-Z%])`)
	verbs := func(s string) string {
		var out []string
		for _, m := range verb.FindAllStringSubmatch(s, -1) {
			if m[2] != "%" {
				out = append(out, m[1]+m[2])
			}
		}
		return strings.Join(out, " ")
	}
	n := 0
	calls(t, "T", func(pos token.Position, _ string, args []ast.Expr) {
		n++
		en, ok1 := text(args[0])
		fr, ok2 := text(args[1])
		if !ok1 || !ok2 {
			t.Errorf("%s: a sentence is written where it is said, in each language, as constant text", pos)
			return
		}
		if strings.TrimSpace(fr) == "" || strings.TrimSpace(en) == "" {
			t.Errorf("%s: a language says nothing: %q, %q", pos, en, fr)
		}
		if len(args) > 2 && verbs(en) != verbs(fr) {
			t.Errorf("%s: English takes %q, French %q", pos, verbs(en), verbs(fr))
		}
	})
	if n < 50 {
		t.Errorf("only %d sentences found: does this test still look at the right thing?", n)
	}
}

func TestCodesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/codes.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = true
	}
	used := map[string]bool{}
	calls(t, "New", func(pos token.Position, _ string, args []ast.Expr) {
		code, ok := text(args[0])
		if !ok {
			return // passed on from elsewhere
		}
		used[code] = true
		if !documented[code] {
			t.Errorf("%s: code %q is not in docs/codes.md", pos, code)
		}
	})
	_, house := readHouse(t)
	for _, f := range house["cmd/foyer"] { // health.FromError("…", …)
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if fn, ok := call.Fun.(*ast.SelectorExpr); ok && fn.Sel.Name == "FromError" {
					code, _ := text(call.Args[0])
					used[code] = true
				}
			}
			return true
		})
	}
	for dir, files := range house { // health.Check{Code: "…"}, health.Finding{Cause: "…"}
		if !strings.HasPrefix(dir, "supervisor") && !strings.HasPrefix(dir, "cmd/foyer") && dir != "internal/report" {
			continue
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if kv, ok := n.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok && (key.Name == "Code" || key.Name == "Cause") {
						if code, ok := text(kv.Value); ok && code != "" {
							used[code] = true
							if !documented[code] {
								t.Errorf("%s: %q, of a check, is not in docs/codes.md", dir, code)
							}
						}
					}
				}
				return true
			})
		}
	}
	for _, f := range slices.Concat(house["supervisor"], house["supervisor/helper"], house["supervisor/backup/routine"]) { // const JobX = "…", VerbX: kinds of jobs
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && (strings.HasPrefix(spec.Names[0].Name, "Job") || strings.HasPrefix(spec.Names[0].Name, "Verb")) {
				if kind, ok := text(spec.Values[0]); ok {
					used[kind] = true
					if !documented[kind] {
						t.Errorf("the kind of job %q is not in docs/codes.md", kind)
					}
				}
			}
			return true
		})
	}
	for code := range documented {
		if !used[code] {
			t.Errorf("docs/codes.md documents %q, which nothing uses", code)
		}
	}
}

// What the settings mean for where a Foyer stands is asked of package site: whoever reads it
// off them has an answer of their own.
func TestWhereAFoyerStandsIsAskedOfTheSite(t *testing.T) {
	t.Attr("shows", "ground2")
	asked := map[string]string{"Proxy.Listen": "BehindProxy", "MDNS": "Announced", "Router": "RouterWays", "Certificates.CA": "Authority"}
	fset, house := readHouse(t)
	for dir, files := range house {
		if dir == "internal/site" || dir == "internal/config" {
			continue
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if e, ok := n.(*ast.BinaryExpr); ok && (e.Op == token.EQL || e.Op == token.NEQ) {
					if _, word := text(e.Y); !word {
						return true
					}
					if instead := asked[setting(e.X)]; instead != "" {
						t.Errorf("%s: settings.%s is compared here; ask site.Of(settings).%s", fset.Position(e.Pos()), setting(e.X), instead)
					}
				}
				return true
			})
		}
	}
}

// setting is what a selector reads, in the settings' own words: Name, or Table.Name.
func setting(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if table, ok := s.X.(*ast.SelectorExpr); ok && (table.Sel.Name == "Proxy" || table.Sel.Name == "Certificates") {
		return table.Sel.Name + "." + s.Sel.Name
	}
	return s.Sel.Name
}

// docs/compatibility.md says which test shows what: each is there, of Go and of the clients.
func TestCompatibilityIsShown(t *testing.T) {
	doc, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, root := range []string{"../../server", "../../internal/fair", "../../internal/config", ".", "../../packaging/clients"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.Name() == "node_modules":
				return filepath.SkipDir
			case !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".test.js"):
				return nil
			}
			text, err := os.ReadFile(path)
			tests.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := regexp.MustCompile(`(?m)^\| §\d+ [^|]+ \| [^|]+ \|([^|]*)\|[^|]*\|$`).FindAllStringSubmatch(string(doc), -1)
	if all := strings.Count(string(doc), "\n| §"); all == 0 || all != len(rows) {
		t.Errorf("of %d rows, %d have the form that can be counted", all, len(rows))
	}
	for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`).FindAllString(string(doc), -1) {
		if !strings.Contains(tests.String(), "\nfunc "+name+"(") {
			t.Errorf("docs/compatibility.md names %s, which is not there", name)
		}
	}
	for _, row := range rows {
		for _, said := range regexp.MustCompile(`"[^"]+"`).FindAllString(row[1], -1) {
			if !strings.Contains(tests.String(), "test("+said+",") {
				t.Errorf("docs/compatibility.md names the clients' test %s, which is not there", said)
			}
		}
	}
}

// The test of each fault in docs/hardening.md is where the table says.
func TestFaultsHaveTheirTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/hardening.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| ([0-9]+[a-z]?) \\|.*\\| `([a-z0-9/]+)` (Test[A-Za-z0-9]+) \\|$").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 150 {
		t.Fatalf("%d faults are listed", len(rows))
	}
	sources := map[string]string{} // the tests of a folder
	for _, row := range rows {
		id, dir, name := row[1], row[2], row[3]
		if _, read := sources[dir]; !read {
			files, err := filepath.Glob(filepath.Join("../..", filepath.FromSlash(dir), "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				all.WriteString(string(text))
			}
			sources[dir] = all.String()
		}
		if !strings.Contains(sources[dir], "func "+name+"(") {
			t.Errorf("fault %s: there is no %s in %s", id, name, dir)
		}
	}
}
