package refusal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// rows are the errors of package kinto, by name, and what becomes of them.
var rows = map[string][]struct {
	err           error
	status, errno int
	retry         string // Retry-After; "usual": what the server says otherwise
}{
	"ErrForbidden":     {{kinto.ErrForbidden, 403, 121, ""}},
	"ErrConflict":      {{kinto.ErrConflict, 409, 122, "usual"}},
	"ErrReadOnly":      {{kinto.ErrReadOnly, 405, 115, ""}},
	"ErrFull":          {{kinto.ErrFull, 507, 201, "usual"}},
	"ErrAttached":      {{kinto.ErrAttached, 400, 999, ""}},
	"ErrUnavailable":   {{kinto.ErrUnavailable, 503, 201, "usual"}},
	"ErrAccounts":      {{kinto.ErrAccounts, 401, 999, ""}},
	"ErrOwner":         {{kinto.ErrOwner, 403, 121, ""}},
	"BusyError":        {{&kinto.BusyError{What: "feeds"}, 503, 201, "usual"}, {&kinto.BusyError{What: "passwords", Wait: 59001 * time.Millisecond}, 503, 201, "60"}},
	"NotFoundError":    {{&kinto.NotFoundError{Kind: kinto.Record, ID: "r"}, 404, 110, ""}, {&kinto.NotFoundError{Kind: kinto.Bucket, ID: "b", Parent: true}, 404, 111, ""}},
	"NotModifiedError": {{&kinto.NotModifiedError{Timestamp: 7}, 304, 0, ""}},
	"ModifiedError":    {{&kinto.ModifiedError{Timestamp: -1}, 412, 114, ""}, {&kinto.ModifiedError{Timestamp: 7, Existing: &kinto.Object{ID: "r", Timestamp: 7, Data: []byte(`{}`)}}, 412, 114, ""}},
	"InvalidError":     {{kinto.Invalid("body", "data.x", "is wrong"), 400, 107, ""}, {kinto.InvalidID(), 400, 107, ""}},
	"QuotaError":       {{&kinto.QuotaError{What: "records", Limit: 1, Used: 1}, 507, 121, ""}, {&kinto.QuotaError{What: "uploaded_bytes", Wait: 2 * time.Minute}, 507, 121, "120"}},
}

// An error is what it is at every door, whatever is wrapped around it or happened besides.
// There is none of package kinto that the table has not.
func TestAnErrorIsWhatItIs(t *testing.T) {
	t.Attr("shows", "ground2")
	names := errorsOf(t, "../kinto")
	looks := 0
	for _, name := range names {
		if len(rows[name]) == 0 {
			t.Errorf("kinto.%s is no row of this test", name)
		}
	}
	for name, cases := range rows {
		if !slices.Contains(names, name) {
			t.Errorf("there is no kinto.%s", name)
		}
		for _, c := range cases {
			once := fmt.Errorf("in a batch: %w", c.err)
			bare := Of(c.err)
			for how, err := range map[string]error{
				"bare": c.err, "once": once, "twice": fmt.Errorf("cannot answer: %w", once), "joined": errors.Join(errors.New("also"), c.err),
				"joined, wrapped": fmt.Errorf("at last: %w", errors.Join(once, errors.New("also"))), "two of it": fmt.Errorf("%w: %w", errors.New("the disk"), once),
			} {
				no := Of(err)
				retry := ""
				if no.Passes() {
					retry = "usual"
				}
				if no.Wait > 0 {
					retry = no.RetryAfter()
				}
				if no.Status != c.status || no.Errno != c.errno || retry != c.retry {
					t.Errorf("%s %s: %d %d, Retry-After %q; want %d %d %q", name, how, no.Status, no.Errno, retry, c.status, c.errno, c.retry)
				}
				if !bytes.Equal(no.JSON(hint.FR), bare.JSON(hint.FR)) || no.Stamped != bare.Stamped || no.Timestamp != bare.Timestamp {
					t.Errorf("%s %s: %s, bare it is %s", name, how, no.JSON(hint.FR), bare.JSON(hint.FR))
				}
				looks++
			}
		}
	}
	t.Logf("SHOW  %d errors of the rules, each bare, wrapped and joined: %d looks, one status and errno each", len(names), looks)
}

// errorsOf are the exported errors of a package: variables and types.
func errorsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for _, name := range n.Names {
					if strings.HasPrefix(name.Name, "Err") {
						names = append(names, name.Name)
					}
				}
			case *ast.FuncDecl:
				if n.Name.Name == "Error" && n.Recv != nil {
					of := n.Recv.List[0].Type
					if star, ok := of.(*ast.StarExpr); ok {
						of = star.X
					}
					if id, ok := of.(*ast.Ident); ok && id.IsExported() {
						names = append(names, id.Name)
					}
				}
				return false
			}
			return true
		})
	}
	return names
}

// What a door refuses itself, and errors that are nobody's.
func TestOtherErrors(t *testing.T) {
	own := New(418, 1, "no coffee")
	form := &FormError{406, 107, kinto.Invalid("header", "Accept", "Accept is wrong")}
	damage := hint.New("database-damaged", hint.T("Damaged.", "Abîmée."), hint.Text{}, hint.Text{})
	for _, c := range []struct {
		name string
		err  error
		want string
		log  bool
	}{
		{"a door's own", fmt.Errorf("as always: %w", own), `{"code":418,"errno":1,"error":"I'm a teapot","message":"no coffee"}`, false},
		{"a form", fmt.Errorf("as always: %w", form), `{"code":406,"errno":107,"error":"Invalid parameters","message":"Accept is wrong","details":[{"location":"header","name":"Accept","description":"Accept is wrong"}]}`, false},
		{"damage", fmt.Errorf("%w: %w", kinto.ErrUnavailable, damage), `{"code":503,"errno":201,"error":"Service Unavailable","message":"Abîmée."}`, true},
		{"the client is gone", fmt.Errorf("reading: %w", context.Canceled), string(Busy.JSON(hint.FR)), false},
		{"nobody's", errors.New("the password is 1234"), `{"code":500,"errno":999,"error":"Internal Server Error","message":"A programmatic error occurred, developers have been informed.","info":"` + Issues + `"}`, true},
	} {
		no := Of(c.err)
		if got := string(no.JSON(hint.FR)); got != c.want || c.log != (no.Notice != "") {
			t.Errorf("%s: %s\nwant %s; the log is told %q", c.name, got, c.want, no.Notice)
		}
	}
}

func TestBrief(t *testing.T) {
	full := Of(&kinto.NotFoundError{Kind: kinto.Record, ID: "r"}).JSON(hint.EN)
	if got := string(Brief(full)); got != `{"code":404,"errno":110,"error":"Not Found"}` {
		t.Errorf("%s of %s", got, full)
	}
	if got := Brief([]byte("<html>")); got != nil {
		t.Errorf("%s", got)
	}
}

// Nobody else writes the body of an error as clients of Kinto know it.
func TestOneErrorBody(t *testing.T) {
	t.Attr("shows", "ground2")
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		has := bytes.Contains(text, []byte(`json:"errno`)) || bytes.Contains(text, []byte(`"errno\":`))
		if here := filepath.Dir(path) == "../refusal"; has && !here {
			t.Errorf("%s writes an error body of its own", path)
		} else if has {
			t.Logf("SHOW  error bodies are written in server/refusal/%s alone", filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(Bug.JSON(hint.EN)) {
		t.Error("not JSON")
	}
}
