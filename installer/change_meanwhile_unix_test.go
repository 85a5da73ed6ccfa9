//go:build unix

package installer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
)

// While something is on trial nobody else changes the machine; what is on trial does.
func TestNobodyOverwritesWhatIsOnTrial(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	o := newFakeOS(t)
	in := o.installer(nil)
	mustApply(t, in)
	var waits error
	other := o.installer(func(c *Config) { c.OnTrial = func(context.Context) error { return waits } })
	other.hook = func(string) {}
	path := o.path("etc/foyer/foyer.toml")
	o.rewrite("https_port = 8443", "https_port = 9443") // so that there is something to do

	before := o.tree()
	waits = hint.New("change-under-way", hint.T("a", "b"), hint.Text{}, hint.Text{})
	if _, err := other.Apply(t.Context(), nil); code(err) != "change-under-way" {
		t.Errorf("an install: %v", err)
	}
	if _, err := other.ApplySettings(t.Context(), nil); code(err) != "change-under-way" {
		t.Errorf("the settings applied: %v", err)
	}
	if diff := cmp.Diff(before, o.tree()); diff != "" {
		t.Errorf("refused, and: %s", diff)
	}
	var old, changed []byte
	save := func(was, is []byte) error { old, changed = slices.Clone(was), slices.Clone(is); return nil }
	if _, _, err := other.ChangeSettings(t.Context(), Values{"name": "attic"}, save, nil); err != nil {
		t.Errorf("what is on trial itself: %v", err)
	}
	if _, err := other.RestoreSettings(t.Context(), old, changed, nil); err != nil {
		t.Errorf("and its way back: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(old) {
		t.Errorf("the settings are %s, %v", text, err)
	}
	if _, err := other.RepairOwners(t.Context(), nil); err != nil {
		t.Errorf("a repair: %v", err)
	}
	waits = nil
	if _, err := other.Apply(t.Context(), nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What somebody has written into the settings while a change of them was on trial is not lost
// when that goes back, at whatever moment the way back is cut off; a purge leaves nothing.
func TestWhatIsEditedMeanwhileIsKept(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	cuts := 0
	for _, c := range []struct {
		name string
		do   func(path string, changed []byte) error
		kept string // "the file" or "a link"; "" = nothing
		cut  bool   // the way back is cut off at every moment
	}{
		{"nothing", func(string, []byte) error { return nil }, "", false},
		{"an edit", func(path string, changed []byte) error {
			return os.WriteFile(path, append(slices.Clone(changed), "# mine\n"...), 0o640)
		}, "the file", true},
		{"what is no settings", func(path string, _ []byte) error { return os.WriteFile(path, []byte("# mine\n[["), 0o640) }, "the file", false},
		{"it is gone", func(path string, _ []byte) error { return os.Remove(path) }, "", false},
		{"a link", func(path string, _ []byte) error {
			return errors.Join(os.Remove(path), os.Symlink("elsewhere.toml", path))
		}, "a link", true},
	} {
		for n, went := 1, c.cut; n == 1 || went; n++ {
			o := newFakeOS(t)
			nothing := o.tree()
			in := o.installer(nil)
			mustApply(t, in)
			before := o.machineFiles()
			path := o.path("etc/foyer/foyer.toml")
			var old, changed []byte
			if _, _, err := in.ChangeSettings(t.Context(), Values{"https_port": "9443"}, func(was, is []byte) error { old, changed = slices.Clone(was), slices.Clone(is); return nil }, nil); err != nil {
				t.Fatal(err)
			}
			o.must(c.do(path, changed))
			mine, _ := os.ReadFile(path) // a link leads nowhere
			if o.ticks = 0; c.cut {
				o.crashAt = n
			}
			told := false
			went = cut(func() {
				res, err := in.RestoreSettings(t.Context(), old, changed, nil)
				o.must(err)
				told = slices.Contains(o.whats(res), "! file /etc/foyer/foyer.toml")
			})
			if !went && told != (c.kept != "") {
				t.Errorf("%s: it is told: %t", c.name, told)
			}
			if o.crashAt = 0; went {
				cuts++
				_, err := in.RestoreSettings(t.Context(), old, changed, nil)
				o.must(err)
			}
			edited, err := os.ReadFile(path + ".edited")
			switch c.kept {
			case "":
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s, moment %d: %q is kept, %v", c.name, n, edited, err)
				}
			case "the file":
				if string(edited) != string(mine) {
					t.Errorf("%s, moment %d: kept is %q, %v", c.name, n, edited, err)
				}
			default:
				if to, err := os.Readlink(path + ".edited"); to != "elsewhere.toml" {
					t.Errorf("%s, moment %d: kept is a link to %q, %v", c.name, n, to, err)
				}
			}
			os.Remove(path + ".edited") //nolint:errcheck // as above
			if diff := cmp.Diff(before, o.machineFiles()); diff != "" {
				t.Fatalf("%s, moment %d: %s", c.name, n, diff)
			}
			o.must(os.WriteFile(path+".edited", mine, 0o640))
			mustUndo(t, in, true)
			if diff := cmp.Diff(nothing, o.tree()); diff != "" {
				t.Fatalf("%s, moment %d, purged: %s", c.name, n, diff)
			}
		}
	}
	t.Logf("SHOW edited by hand while a change was on trial: kept beside at each of %d moments of going back, and told", cuts)
}
