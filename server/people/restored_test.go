package people

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// Of a person everything is either kept or ends: this is filled by whatever fields there
// are, and a new one is to be put on one side.
func TestWhatEndsOfAPersonWithARestore(t *testing.T) {
	t.Attr("shows", "backups")
	ends := map[string]bool{"Owner": false, "Joined": false, "Sessions": true, "Apps": true, "Passkeys": false, "Unknown": false}
	full := person{
		Owner: true, Joined: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Sessions: []session{{ID: "s"}}, Apps: []app{{ID: "a"}},
		Passkeys: []passkey{{ID: "p"}}, Unknown: []byte("u"),
	}
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if _, known := ends[v.Type().Field(i).Name]; !known || v.Field(i).IsZero() {
			t.Fatalf("is %s to come back from a backup? Say so in restored.go, and here", v.Type().Field(i).Name)
		}
	}
	for _, apps := range []bool{false, true} {
		h := newHouse(t, nil)
		after := person{}
		write := func(fn func(kinto.Tx) error) {
			t.Helper()
			if err := h.db.Write(t.Context(), nil, fn); err != nil {
				t.Fatal(err)
			}
		}
		write(func(tx kinto.Tx) error {
			if err := putAccount(tx, "ann", "hash"); err != nil {
				return err
			}
			return keep(tx, "ann", &full)
		})
		for range 2 {
			write(func(tx kinto.Tx) error { return Restored(tx, apps) })
		}
		write(func(tx kinto.Tx) error {
			p, hash, err := find(tx, "ann")
			if p != nil {
				after = *p
			}
			if hash != "hash" {
				t.Errorf("the password is %q", hash)
			}
			return err
		})
		for i, v := 0, reflect.ValueOf(after); i < v.NumField(); i++ {
			name := v.Type().Field(i).Name
			want := ends[name] && !(apps && name == "Apps")
			if v.Field(i).IsZero() != want {
				t.Errorf("with apps %v: %s ended is %v, want %v", apps, name, !want, want)
			}
		}
	}
}

// Every fact that this package keeps in the store's meta is in the table, and nothing is in
// the table that is not kept; whoever keeps notes is known, too.
func TestEveryFactOfPeopleIsLookedAtAfterARestore(t *testing.T) {
	t.Attr("shows", "backups")
	fset := token.NewFileSet()
	consts := map[string]string{"kinto.MetaOwner": kinto.MetaOwner, "kinto.MetaPerson": kinto.MetaPerson, "kinto.MetaReserved": kinto.MetaReserved}
	kept, notes := map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "restored.go" {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				switch v := spec.Values[0].(type) {
				case *ast.BasicLit:
					consts[spec.Names[0].Name] = strings.Trim(v.Value, `"`)
				case *ast.SelectorExpr:
					consts[spec.Names[0].Name] = consts["kinto."+v.Sel.Name]
				}
			}
			return true
		})
	}
	for _, f := range parsed {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				switch sel.Sel.Name {
				case "SetMeta":
					arg := call.Args[0]
					for sum, ok := arg.(*ast.BinaryExpr); ok; sum, ok = arg.(*ast.BinaryExpr) {
						arg = sum.X
					}
					name := ""
					switch arg := arg.(type) {
					case *ast.Ident:
						name = arg.Name
					case *ast.SelectorExpr:
						name = "kinto." + arg.Sel.Name
					}
					if consts[name] == "" {
						t.Errorf("%s: a fact of which this test does not know the name", fset.Position(call.Pos()))
					}
					kept[consts[name]] = true
				case "SetNote":
					notes[fn.Name.Name] = true
				}
				return true
			})
		}
	}
	kept[kinto.MetaLost] = true // by package kinto, with each restore
	listed := map[string]bool{}
	for _, fact := range afterRestore {
		listed[fact.name] = true
	}
	if !maps.Equal(kept, listed) {
		t.Errorf("facts that are kept:\n%q\nand those of which restored.go says whether they end:\n%q", slices.Sorted(maps.Keys(kept)), slices.Sorted(maps.Keys(listed)))
	}
	if want := map[string]bool{"once": true, "writeNote": true}; !maps.Equal(notes, want) {
		t.Errorf("notes are kept by %q: do those come back from a backup? Say so in restored.go, and here", slices.Sorted(maps.Keys(notes)))
	}
}

// What each fact holds that ends is gone, and the others are as they were.
func TestFactsThatEndWithARestore(t *testing.T) {
	h := newHouse(t, nil)
	if err := h.db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		for _, fact := range afterRestore {
			if err := tx.SetMeta(fact.name, []byte("x")); err != nil {
				return err
			}
		}
		return Restored(tx, false)
	}); err != nil {
		t.Fatal(err)
	}
	for _, fact := range afterRestore {
		value, err := storage.Meta(t.Context(), filepath.Join(h.dir, "foyer.db"), fact.name)
		if err != nil || (value == "") != fact.ends {
			t.Errorf("%s is %q, %v", fact.name, value, err)
		}
	}
}
