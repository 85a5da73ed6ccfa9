package attachment

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that fails while contents are read, or kept, is known; a client that breaks off is
// none. It is told for a minute.
func TestAFailingDiskIsKnown(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		f := open(t)
		if _, err := f.Put(io.MultiReader(strings.NewReader("hel"), broken{}), -1); err == nil || f.Trouble() != nil {
			t.Errorf("a client that breaks off is trouble: %v, %v", err, f.Trouble())
		}
		folder, err := os.Open(f.dir) // reading it fails, as a bad sector does
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		if _, err := io.Copy(io.Discard, f.Reads(folder)); err == nil {
			t.Fatal("a folder was read")
		}
		if e := f.Trouble(); e == nil || e.Code != "disk-failing" {
			t.Errorf("%v", e)
		}
		time.Sleep(failsFor)
		if e := f.Trouble(); e != nil {
			t.Errorf("after a minute: %v", e)
		}
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

// Other bytes under a name are only whole again when all of them were read, or after some days.
func TestOtherBytesAreKnown(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		f := open(t)
		if _, err := f.Put(strings.NewReader("hello"), -1); err != nil {
			t.Fatal(err)
		}
		write := func(text string) {
			if err := os.WriteFile(f.path(hello), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("jello")
		if err := f.Verify(t.Context(), hello); !errors.Is(err, ErrDamaged) || f.Trouble() == nil {
			t.Fatalf("%v, %v", err, f.Trouble())
		}
		f.There(hello)
		if e := f.Trouble(); e == nil || e.Code != "attachment-damaged" {
			t.Errorf("its size says nothing of its bytes: %v", e)
		}
		write("hello")
		if err := f.Verify(t.Context(), hello); err != nil || f.Trouble() != nil {
			t.Errorf("%v, %v", err, f.Trouble())
		}
		f.Lost("a hash that nobody reads again")
		time.Sleep(damagedFor + time.Second)
		if e := f.Trouble(); e != nil {
			t.Errorf("after some days: %v", e)
		}
	})
}
