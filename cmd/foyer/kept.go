package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/atomicfile"
)

// keptPath is where the answers of a wizard that was cut short are.
func keptPath() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "foyer", "wizard.json")
}

// keptAnswers are those of a wizard that was cut short; nil: there are none.
func keptAnswers() installer.Values {
	var v installer.Values
	data, err := os.ReadFile(keptPath())
	if err != nil || json.Unmarshal(data, &v) != nil {
		return nil
	}
	for k := range v { // of another version, or by another hand
		if !slices.ContainsFunc(installer.Questions(), func(q installer.Question) bool { return q.Key == k }) {
			delete(v, k)
		}
	}
	return v
}

// keepAnswers keeps what is no secret. Where that cannot be done it is asked again.
func keepAnswers(v installer.Values) {
	path := keptPath()
	for _, q := range installer.Questions() {
		if q.Secret {
			delete(v, q.Key)
		}
	}
	data, err := json.Marshal(v)
	if err != nil || path == "" || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	atomicfile.Write(path, data, 0o600) //nolint:errcheck // it is a convenience
}

// forgetAnswers removes them, once they were used.
func forgetAnswers() {
	path := keptPath()
	if path != "" && os.Remove(path) == nil {
		os.Remove(filepath.Dir(path)) //nolint:errcheck // if it is empty
	}
}
