package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// makeForever writes the files that TestForever reads. Once they are there they stay.
var makeForever = flag.Bool("make-forever", false, "write testdata/forever anew")

// foreverWords are a kit's that was made for this test, and is nobody's.
const foreverDir, foreverWords = "testdata/forever", "tuna brisk until risk prevent cliff comfort agent wild table bronze sick"

// What was once written is read for ever, by the words alone.
func TestForever(t *testing.T) {
	t.Attr("shows", "backups")
	words, err := kit.Read(foreverWords)
	if err != nil {
		t.Fatal(err)
	}
	want := Header{
		N: 2, Prev: hex.EncodeToString(bytes.Repeat([]byte{0xab}, 32)), Kind: Merge, At: at, Version: "0.1.0-dev", Schema: 7,
		From: changelog.Position{Seq: 3, Sum: "00ff"}, To: changelog.Position{Seq: 9007199254740993, Sum: "10:20:10,14"},
	}
	lines := []string{record(1), `{"é":"\u0000"}` + "\n"}
	if *makeForever {
		w := newWorld(t)
		sealed, _ := w.seal(t, want, lines...)
		if err := os.MkdirAll(foreverDir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{"2.seg": sealed, "key.5": mustSeal(t, words, &Keys{5, w.chain, Authors{w.machine.Author(1)}, at})} {
			if err := os.WriteFile(filepath.Join(foreverDir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	found, sealed := forever(t)
	want.Chain = found.Chain.ID
	h, got, info, err := read(bytes.NewReader(sealed), Expect{Identities: []age.Identity{found.Chain.Identity}, Authors: found.Authors, Chain: found.Chain.ID})
	sum := sha256.Sum256(sealed)
	if err != nil || h != want || len(got) != 2 || got[0] != lines[0] || got[1] != lines[1] || info.SHA256 != hex.EncodeToString(sum[:]) {
		t.Fatalf("%+v, %q, %+v, %v", h, got, info, err)
	}
	// Under another number it is out of place.
	if _, err := OpenKeys(foreverFile(t, "key.5"), found.Chain.ID, 6, words); is(err, ErrOutOfPlace) != "" {
		t.Error(is(err, ErrOutOfPlace))
	}
	t.Logf("SHOW for ever: an object and a key object that were written on 27 November 2026 are read")
}

func foreverFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(foreverDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// forever is the object, and the keys that its words find.
func forever(t testing.TB) (*Found, []byte) {
	t.Helper()
	words, err := kit.Read(foreverWords)
	if err != nil {
		t.Fatal(err)
	}
	found, err := FindKeys(map[int][]byte{5: foreverFile(t, "key.5")}, "", words)
	if err != nil {
		t.Fatal(err)
	}
	return found, foreverFile(t, "2.seg")
}
