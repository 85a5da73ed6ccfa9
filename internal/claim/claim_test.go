package claim

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestCodeIsReadAsPeopleTypeIt(t *testing.T) {
	code, o, err := NewCode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`).MatchString(code) {
		t.Errorf("code %q", code)
	}
	for _, typed := range []string{code, strings.ToLower(code), strings.ReplaceAll(code, "-", " "), strings.NewReplacer("0", "o", "1", "l").Replace(code)} {
		if !o.Matches(typed) {
			t.Errorf("%q is not taken for %q", typed, code)
		}
	}
	if o.Matches("0000-0000") && code != "0000-0000" {
		t.Error("a wrong code is taken")
	}
}

func TestNoteHoldsNoSecretAndGoesOnce(t *testing.T) {
	dir := t.TempDir()
	code, o, err := NewCode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := Leave(dir, o, -1, -1); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(Path(dir))
	if err != nil || strings.Contains(string(raw), Normalise(code)) {
		t.Fatalf("the note holds the code: %s, %v", raw, err)
	}
	if fi, _ := os.Stat(Path(dir)); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
	newer, err := ForOwner("jeannine", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if err := Leave(dir, newer, -1, -1); err != nil {
		t.Fatal(err)
	}
	if err := Taken(dir, o); err != nil { // the older one: the newer stays
		t.Fatal(err)
	}
	if got, err := Pending(dir); err != nil || got == nil || got.ID != newer.ID {
		t.Fatalf("pending %v, %v", got, err)
	}
	if err := Taken(dir, newer); err != nil {
		t.Fatal(err)
	}
	if got, err := Pending(dir); err != nil || got != nil {
		t.Fatalf("pending %v, %v", got, err)
	}
}
