//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// listing is a whole file system: path → type, mode, owner and contents.
type listing map[string]string

// list lists the file system of a machine that is switched off. What the running
// system writes for itself is left out: each pattern says why.
func list(t *testing.T, root string) listing {
	t.Helper()
	out := listing{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		if name == "" {
			name = "/"
		}
		for _, p := range systemWrites {
			if p.MatchString(name) {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%v %d:%d", fi.Mode(), st.Uid, st.Gid)
		switch {
		case fi.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if name == "/etc/shadow" {
				data = changedOn.ReplaceAll(data, []byte("$1:DAY:"))
			}
			line += fmt.Sprintf(" %d bytes %x", len(data), sha256.Sum256(data))
		case fi.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		out[name] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// changedOn is the day on which a password was set, in /etc/shadow (shadow(5)).
var changedOn = regexp.MustCompile(`(?m)^([^:]*:[^:]*):\d+:`)

// systemWrites are the places the running Debian writes by itself, Foyer or no Foyer.
var systemWrites = []*regexp.Regexp{
	regexp.MustCompile(`^/(proc|sys|dev|run|tmp|var/tmp)$`),   // not on disk
	regexp.MustCompile(`^/var/log/journal(/|$)`),              // the journal
	regexp.MustCompile(`^/var/lib/systemd(/|$)`),              // random seed, timers, catalog
	regexp.MustCompile(`^/var/cache/(ldconfig|private)(/|$)`), // tmpfiles
	regexp.MustCompile(`^/var/lib/(private|dbus)(/|$)`),       // tmpfiles, machine id
	regexp.MustCompile(`^/etc/(machine-id|\.updated|mtab|localtime|\.pwd\.lock)$|^/var/\.updated$`),
	regexp.MustCompile(`^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$`), // shadow-utils' own backups
	regexp.MustCompile(`^/var/log/(wtmp|btmp|lastlog|faillog)$`),
	regexp.MustCompile(`^/var/(backups|lib/apt|cache/apt|cache/man|lib/logrotate)(/|$)`), // daily timers: the tests may run at midnight
	regexp.MustCompile(`^/var/log/(README|private)$`),
	regexp.MustCompile(`^/root$`), // mode is set by tmpfiles
}

// diff tells how b differs from a, one line each; nothing when they are equal.
func (a listing) diff(b listing) []string {
	var out []string
	for name, was := range a {
		switch is, ok := b[name]; {
		case !ok:
			out = append(out, "gone: "+name+" ("+was+")")
		case is != was:
			out = append(out, "changed: "+name+": "+was+" is now "+is)
		}
	}
	for name, is := range b {
		if _, ok := a[name]; !ok {
			out = append(out, "new: "+name+" ("+is+")")
		}
	}
	slices.Sort(out)
	return out
}

// without leaves out what matches.
func (a listing) without(patterns ...string) listing {
	out := listing{}
	for name, line := range a {
		if !slices.ContainsFunc(patterns, func(p string) bool { return regexp.MustCompile(p).MatchString(name) }) {
			out[name] = line
		}
	}
	return out
}
