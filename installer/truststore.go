package installer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/safepath"
)

// TrustStore is where the programs of this machine, Firefox apart, look up whom to
// trust, and where Firefox does: through its policies, which it reads at its start,
// so that no profile of anybody is touched. Installing and removing twice is the
// same as once.
type TrustStore struct {
	Root   string // of the file system; "" is this machine's
	Runner host.Runner
}

// anchors are the folders of the families of Linux, and what makes the bundle of
// what is in them. The order matters: some have the folder of another, too.
var anchors = []struct {
	dir     string
	command []string
}{
	{"/etc/pki/ca-trust/source/anchors", []string{"update-ca-trust", "extract"}},        // Fedora and Red Hat
	{"/etc/pki/trust/anchors", []string{"update-ca-certificates"}},                      // SUSE
	{"/etc/ca-certificates/trust-source/anchors", []string{"trust", "extract-compat"}},  // Arch
	{"/usr/local/share/ca-certificates", []string{"update-ca-certificates", "--fresh"}}, // Debian and its kin
}

const (
	anchorFile     = "foyer-home-ca.crt"
	firefoxPolicy  = "/etc/firefox/policies/policies.json"
	firefoxAnchors = "/etc/firefox/policies/" + anchorFile

	mostPolicy = 1 << 20 // bytes that are read of a file
)

// firefoxes tell that there is a Firefox.
var firefoxes = []string{"/usr/bin/firefox", "/usr/bin/firefox-esr", "/snap/bin/firefox", "/usr/lib64/firefox"}

func (s TrustStore) path(p string) string { return filepath.Join("/", s.Root, p) }

// Install puts the root certificate there and returns the files it wrote. The error
// is trust-store-unknown where no such place is known.
func (s TrustStore) Install(ctx context.Context, root HomeRoot) (files []string, err error) {
	pem := root.PEM()
	found := false
	for _, a := range anchors {
		if _, err := os.Stat(s.path(a.dir)); err != nil {
			continue
		}
		found = true
		wrote, err := s.put(filepath.Join(a.dir, anchorFile), pem)
		if err != nil {
			return files, err
		}
		// Also when it was there: the command may not have ended last time.
		if _, err := s.Runner.Run(ctx, a.command[0], a.command[1:]...); err != nil {
			return files, fmt.Errorf("cannot make this machine's list of trusted certificates: %w", err)
		}
		if wrote {
			files = append(files, filepath.Join(a.dir, anchorFile))
		}
		break
	}
	if !found {
		return nil, hint.New("trust-store-unknown",
			hint.T("Foyer does not know where this system keeps whom it trusts.", "Foyer ne sait pas où ce système garde ceux à qui il fait confiance."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Install the package ca-certificates, or take the certificate from `foyer trust --print`.", "Installez le paquet ca-certificates, ou prenez le certificat que donne `foyer trust --print`."))
	}
	if !slices.ContainsFunc(firefoxes, func(p string) bool { _, err := os.Stat(s.path(p)); return err == nil }) {
		return files, nil
	}
	wrote, err := s.put(firefoxAnchors, pem)
	if err != nil {
		return files, err
	}
	changed, err := s.policy(true)
	if wrote || changed {
		files = append(files, firefoxPolicy)
	}
	return files, err
}

// Remove takes away what Install put there and returns what it removed.
func (s TrustStore) Remove(ctx context.Context) (files []string, err error) {
	for _, a := range anchors {
		err := os.Remove(s.path(filepath.Join(a.dir, anchorFile)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, fmt.Errorf("cannot remove the certificate: %w", err)
		}
		files = append(files, filepath.Join(a.dir, anchorFile))
		if _, err := s.Runner.Run(ctx, a.command[0], a.command[1:]...); err != nil {
			return files, fmt.Errorf("cannot make this machine's list of trusted certificates: %w", err)
		}
	}
	changed, err := s.policy(false)
	if changed {
		files = append(files, firefoxPolicy)
	}
	if e := os.Remove(s.path(firefoxAnchors)); e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("cannot remove Firefox's certificate: %w", e))
	}
	return files, err
}

// put writes a file unless it is there, and says whether it did.
func (s TrustStore) put(path string, data []byte) (bool, error) {
	if have, err := safepath.ReadFile(s.path(path), mostPolicy); err == nil && bytes.Equal(have, data) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(s.path(path)), 0o755); err != nil {
		return false, fmt.Errorf("cannot make the folder of %s: %w", path, err)
	}
	return true, atomicfile.Write(s.path(path), data, 0o644)
}

// policy adds our certificate to those Firefox's policies name, or takes it out. What
// else is in the file stays; a file that says nothing afterwards goes.
func (s TrustStore) policy(in bool) (changed bool, err error) {
	data, err := safepath.ReadFile(s.path(firefoxPolicy), mostPolicy)
	if errors.Is(err, fs.ErrNotExist) {
		if !in {
			return false, nil
		}
		data, err = []byte("{}"), nil
	}
	var doc map[string]any
	if err == nil {
		err = json.Unmarshal(data, &doc)
	}
	if err != nil {
		return false, fmt.Errorf("cannot read Firefox's policies in %s: %w", firefoxPolicy, err)
	}
	policies, certificates := inner(doc, "policies"), map[string]any{}
	if policies != nil {
		certificates = inner(policies, "Certificates")
	}
	if policies == nil || certificates == nil {
		return false, fmt.Errorf("cannot read Firefox's policies in %s: they are not as Firefox wants them", firefoxPolicy)
	}
	list, _ := certificates["Install"].([]any)
	if slices.Contains(list, any(firefoxAnchors)) == in {
		return false, nil
	}
	if in {
		list = append(list, firefoxAnchors)
	} else {
		list = slices.DeleteFunc(list, func(x any) bool { return x == firefoxAnchors })
	}
	certificates["Install"] = list
	if len(list) == 0 {
		delete(certificates, "Install")
	}
	for _, empty := range []struct {
		of   map[string]any
		name string
		has  map[string]any
	}{{policies, "Certificates", certificates}, {doc, "policies", policies}} {
		if empty.of[empty.name] = empty.has; len(empty.has) == 0 {
			delete(empty.of, empty.name)
		}
	}
	if len(doc) == 0 {
		return true, os.Remove(s.path(firefoxPolicy))
	}
	if data, err = json.MarshalIndent(doc, "", "  "); err != nil {
		return false, err
	}
	_, err = s.put(firefoxPolicy, append(data, '\n'))
	return err == nil, err
}

// inner is the object name in doc: an empty one when there is none, nil when it is
// something else.
func inner(doc map[string]any, name string) map[string]any {
	if doc[name] == nil {
		return map[string]any{}
	}
	m, _ := doc[name].(map[string]any)
	return m
}
