//go:build unix

package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
)

// bob has a home on the machine and nothing to do with Foyer; foyerUID is its account's.
const bob, foyerUID = 65534, 4321

// shared is a machine, run by root, on which others have folders, too.
func shared(t *testing.T) *fakeOS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	o := newFakeOS(t)
	o.own(0, "root/", "root/secret", "root/foyer/", "root/foyer/claim.json", "root/foyer/letter")
	o.own(bob, "home/bob/")
	return o
}

// own makes files and folders (a/) on the machine, all of them uid's.
func (o *fakeOS) own(uid int, paths ...string) {
	o.t.Helper()
	for _, p := range paths {
		path, err := o.path(p), error(nil)
		if strings.HasSuffix(p, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte(p), 0o600)
		}
		if err := errors.Join(err, os.Lchown(path, uid, uid)); err != nil {
			o.t.Fatal(err)
		}
	}
}

// link makes a link of uid's on the machine.
func (o *fakeOS) link(uid int, target, path string) {
	o.t.Helper()
	if err := errors.Join(os.Symlink(target, o.path(path)), os.Lchown(o.path(path), uid, uid)); err != nil {
		o.t.Fatal(err)
	}
}

// owned lists what is at a path, and below: mode, owner, contents.
func (o *fakeOS) owned(at string) map[string]string {
	o.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(o.path(at), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		uid, gid := host.FileOwner(fi)
		is := fmt.Sprintf("%v %d:%d", fi.Mode(), uid, gid)
		if fi.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			is += " " + string(data)
		}
		rel, _ := filepath.Rel(o.root, path)
		out[rel] = is
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// sharedInstaller installs with the data in a folder, for an account of its own.
func (o *fakeOS) sharedInstaller(data string) *Installer {
	return o.installer(func(c *Config) {
		c.Answers.Data = data
		c.Facts.User = func(_ context.Context, name string) (host.User, bool, error) {
			if name == "root" {
				return host.User{Name: name}, true, nil
			}
			return host.User{Name: name, UID: foyerUID, GID: foyerUID}, o.users[name], nil
		}
	})
}

// A purge removes what is Foyer's. What somebody put in its place is not.
func TestPurgeStaysWithWhatIsFoyers(t *testing.T) {
	t.Attr("shows", "mend")
	for name, c := range map[string]struct {
		data string
		swap func(o *fakeOS)
		left bool
	}{
		"nothing was swapped": {"/home/bob/foyer", func(*fakeOS) {}, false},
		"the folder for a link": {"/home/bob/foyer", func(o *fakeOS) {
			o.must(os.Rename(o.path("home/bob/foyer"), o.path("home/bob/away")))
			o.link(bob, "../../root/foyer", "home/bob/foyer")
		}, true},
		"the folder for one of theirs": {"/home/bob/foyer", func(o *fakeOS) {
			o.must(os.Rename(o.path("home/bob/foyer"), o.path("home/bob/away")))
			o.own(bob, "home/bob/foyer/", "home/bob/foyer/letter")
		}, true},
		"the folder for a file": {"/home/bob/foyer", func(o *fakeOS) {
			o.must(os.Rename(o.path("home/bob/foyer"), o.path("home/bob/away")))
			o.own(bob, "home/bob/foyer")
		}, true},
		"the folder above for a link": {"/home/bob/my/foyer", func(o *fakeOS) {
			o.must(os.Rename(o.path("home/bob/my"), o.path("home/bob/away")))
			o.link(bob, "../../root", "home/bob/my")
		}, true},
		"links in the folder": {"/var/lib/foyer", func(o *fakeOS) {
			o.link(foyerUID, "../../../root/secret", "var/lib/foyer/data.db-wal")
			o.link(foyerUID, "../../../root/foyer", "var/lib/foyer/certificates")
			o.must(os.Link(o.path("root/secret"), o.path("var/lib/foyer/hard")))
			o.must(os.Remove(o.path("var/lib/foyer/claim.json")))
			o.link(foyerUID, "../../../root/secret", "var/lib/foyer/claim.json")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := shared(t)
			outside := o.owned("root")
			in := o.sharedInstaller(c.data)
			in.cfg.Claimed = func(context.Context) (bool, bool) { return false, o.active }
			mustApply(t, in)
			o.own(foyerUID, strings.TrimPrefix(c.data, "/")+"/data.db")
			c.swap(o)
			swapped := o.owned("home")
			var left []string
			changed, err := in.Undo(t.Context(), true, func(e step.Event) {
				for _, c := range e.Changes {
					if c.Op == step.Edited {
						left = append(left, c.What+" "+c.Why.EN)
					}
				}
			})
			if !changed || err != nil {
				t.Errorf("purged: %t, %v", changed, err)
			}
			if diff := cmp.Diff(outside, o.owned("root")); diff != "" {
				t.Errorf("outside: %s", diff)
			}
			if now := o.owned("home"); c.left && cmp.Diff(swapped, now) != "" {
				t.Errorf("what bob put there: %s", cmp.Diff(swapped, now))
			}
			if (len(left) == 1) != c.left {
				t.Errorf("left %q", left)
			}
			if _, err := os.Lstat(o.path(c.data)); !c.left && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the data are there: %v", err)
			}
			if _, err := os.Lstat(o.path("opt/foyer")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the program is there: %v", err)
			}
		})
	}
}

func (o *fakeOS) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// An install takes over a folder, and what is in it, when nobody loses something by it.
func TestInstallTakesNothingOfOthers(t *testing.T) {
	t.Attr("shows", "mend")
	for name, c := range map[string]struct {
		data  string
		plant func(o *fakeOS)
		code  string // "": it installs
	}{
		"a new folder in a home": {"/home/bob/foyer", func(*fakeOS) {}, ""},
		"settings that were there, by a link of root's": {"/var/lib/foyer", func(o *fakeOS) {
			o.own(0, "etc/foyer/", "srv/", "srv/settings")
			o.must(os.WriteFile(o.path("srv/settings"), []byte("http_port = 8080\nhttps_port = 8443\n"), 0o600))
			o.link(0, "../../srv/settings", "etc/foyer/foyer.toml")
		}, ""},
		"an empty one that root made there": {"/home/bob/foyer", func(o *fakeOS) {
			o.own(0, "home/bob/foyer/")
		}, ""},
		"data that bob copied": {"/home/bob/foyer", func(o *fakeOS) {
			o.own(bob, "home/bob/foyer/", "home/bob/foyer/data.db")
		}, ""},
		"a link of root's to another disk": {"/var/lib/foyer", func(o *fakeOS) {
			o.own(0, "mnt/", "mnt/disk/", "mnt/disk/data.db")
			o.link(0, "../../mnt/disk", "var/lib/foyer")
		}, ""},
		"a link of bob's": {"/home/bob/foyer", func(o *fakeOS) {
			o.link(bob, "../../root/foyer", "home/bob/foyer")
		}, "data-link"},
		"a link of root's in bob's home": {"/home/bob/foyer", func(o *fakeOS) {
			o.link(0, "../../root/foyer", "home/bob/foyer")
		}, "data-link"},
		"a link of bob's on the way": {"/home/bob/way/foyer", func(o *fakeOS) {
			o.link(bob, "../../root", "home/bob/way")
		}, "data-link"},
		"a link to nowhere": {"/home/bob/foyer", func(o *fakeOS) {
			o.link(bob, "../../nowhere", "home/bob/foyer")
		}, "data-link"},
		"a folder of root's that bob renamed": {"/home/bob/foyer", func(o *fakeOS) {
			o.own(0, "home/bob/foyer/", "home/bob/foyer/data.db", "home/bob/foyer/secret")
		}, "data-mixed"},
		"a second name of a secret": {"/home/bob/foyer", func(o *fakeOS) {
			o.own(bob, "home/bob/foyer/", "home/bob/foyer/data.db")
			o.must(os.Link(o.path("root/secret"), o.path("home/bob/foyer/zz")))
		}, "data-mixed"},
		"a second name in root's own folder": {"/var/lib/foyer", func(o *fakeOS) {
			o.own(0, "var/lib/foyer/", "var/lib/foyer/data.db")
			o.must(os.Link(o.path("root/secret"), o.path("var/lib/foyer/zz")))
		}, "data-mixed"},
		"the settings a second name": {"/var/lib/foyer", func(o *fakeOS) {
			o.own(0, "etc/foyer/", "root/ports")
			o.must(os.WriteFile(o.path("root/ports"), []byte("http_port = 8080\nhttps_port = 8443\n"), 0o600))
			o.must(os.Link(o.path("root/ports"), o.path("etc/foyer/foyer.toml")))
		}, "data-mixed"},
		"below a folder that everybody writes to": {"/srv/open/foyer", func(o *fakeOS) {
			o.own(0, "srv/open/")
			o.must(os.Chmod(o.path("srv/open"), 0o777))
		}, "data-place"},
	} {
		t.Run(name, func(t *testing.T) {
			o := shared(t)
			c.plant(o)
			before := o.owned("")
			in := o.sharedInstaller(c.data)
			_, err := in.Apply(t.Context(), nil)
			if c.code != "" {
				if code(err) != c.code {
					t.Errorf("error %v", err)
				}
				after := o.owned("")
				delete(after, "run/foyer-install.lock")
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("something was changed: %s", diff)
				}
				return
			}
			if err != nil {
				t.Fatalf("error %v: %v", err, hint.Find(err))
			}
			fi, err := os.Stat(o.path(c.data))
			if err != nil {
				t.Fatal(err)
			}
			if uid, gid := host.FileOwner(fi); uid != foyerUID || gid != foyerUID || fi.Mode().Perm() != 0o700 {
				t.Errorf("the data folder is %v of %d:%d", fi.Mode(), uid, gid)
			}
			if fi, err = os.Stat(o.path("etc/foyer/foyer.toml")); err != nil {
				t.Fatal(err)
			}
			if uid, gid := host.FileOwner(fi); uid != 0 || gid != foyerUID || fi.Mode().Perm() != 0o640 {
				t.Errorf("the settings are %v of %d:%d", fi.Mode(), uid, gid)
			}
			for path, is := range o.owned("root") {
				if before[path] != is {
					t.Errorf("%s: %s", path, is)
				}
			}
			if p, err := in.Plan(t.Context()); err != nil || !p.Empty() {
				t.Errorf("still to do: %+v, %v", p.Changes, err)
			}
		})
	}
}

// What is blanked is what was read, not what has its name, or is led to by it, since.
func TestNothingButTheAnswersIsBlanked(t *testing.T) {
	t.Attr("shows", "mend")
	o := newFakeOS(t)
	home, kernel := o.path("home/answers.toml"), o.path("boot/kernel")
	for path, text := range map[string]string{home: "http_port = 8080\nhttps_port = 8443\n", kernel: "the kernel"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	a, err := LoadAnswers(home, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(home), os.Symlink(kernel, home)); err != nil {
		t.Fatal(err)
	}
	if blanked, err := a.blank(o.root); blanked || err == nil {
		t.Errorf("blanked: %t, %v", blanked, err)
	}
	if data, _ := os.ReadFile(kernel); string(data) != "the kernel" {
		t.Errorf("the kernel is %q", data)
	}
}
