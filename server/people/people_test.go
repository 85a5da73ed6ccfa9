package people

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// house is a data folder and what is made of it.
type house struct {
	t   *testing.T
	dir string
	db  *storage.SQLite
	log *bytes.Buffer
	few *codeLimits // instead of the many tries that codes have
	*People
}

func newHouse(t *testing.T, settings map[string]string) *house {
	h := &house{t: t, dir: t.TempDir(), log: &bytes.Buffer{}}
	h.open(settings)
	t.Cleanup(func() {
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *house) open(settings map[string]string) {
	h.t.Helper()
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if h.db, err = storage.Open(h.t.Context(), filepath.Join(h.dir, "foyer.db"), log); err != nil {
		h.t.Fatal(err)
	}
	h.People = New(h.db, config.NewKinto(settings), h.dir, log)
	if h.few != nil {
		h.codes.limits = *h.few
	}
	if err := h.SetCost(bcrypt.MinCost); err != nil {
		h.t.Fatal(err)
	}
}

// restart closes and opens everything.
func (h *house) restart() {
	h.t.Helper()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open(nil)
}

// ask is what the API takes somebody for who comes from an address.
func (h *house) ask(name, password, from string) string {
	h.t.Helper()
	ok, err := h.ByApp(h.t.Context(), name, password)
	if err == nil && !ok {
		ok, err = h.ByPassword(h.t.Context(), name, password, from)
	}
	switch {
	case isBusy(err):
		return "unavailable"
	case err != nil:
		h.t.Fatal(err)
	case !ok:
		return "nobody"
	}
	return "account:" + name
}

func (h *house) claim(ctx context.Context, code, name, password string) error {
	_, err := h.Claim(ctx, code, name, Secret{Password: password}, "192.0.2.1", "a test")
	return err
}

// offer leaves an offer of a code and returns the code.
func (h *house) offer() string {
	h.t.Helper()
	code, o, err := claim.NewCode(time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	if err := claim.Leave(h.dir, o, -1, -1); err != nil {
		h.t.Fatal(err)
	}
	return code
}

func isBusy(err error) bool {
	_, ok := errors.AsType[*kinto.BusyError](err)
	return ok
}

func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return fmt.Sprint(err)
}

func TestRememberingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(30 * time.Second)
		who, password := v.of("jeannine", "192.0.2.1"), v.of("correct horse")
		v.remember(who, password, "hash")
		time.Sleep(v.rightFor - time.Second)
		if !v.remembers(who, password, "hash") || v.remembers(who, password, "other") || v.remembers(who, v.of("wrong"), "hash") || v.remembers(who, password, "") || v.remembers(v.of("jeannine", "192.0.2.2"), password, "hash") {
			t.Error("what was right is not remembered, or too much is")
		}
		time.Sleep(time.Second)
		if v.remembers(who, password, "hash") {
			t.Error("remembered for too long")
		}
	})
}

func TestClaim(t *testing.T) {
	h := newHouse(t, nil)
	ctx := t.Context()
	if claimed, err := h.Claimed(ctx); claimed || err != nil {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	for _, c := range []struct{ offered, name, password, want string }{
		{"", "jeannine", "correct horse", "claim-expired"}, // none was ever made
		{"yes", "jean nine", "correct horse", "name-malformed"},
		{"yes", "", "correct horse", "name-malformed"},
		{"yes", "-j", "correct horse", "name-malformed"},
		{"yes", strings.Repeat("j", 65), "correct horse", "name-malformed"},
		{"yes", "jeannine", "corréct", "password-weak"},
		{"yes", "jeannine", strings.Repeat("x", 73), "password-weak"},
		{"yes", "jeannine", "correct horse", "claim-wrong"},
	} {
		if c.offered != "" {
			h.offer()
		}
		err := h.claim(ctx, "0000-0000", c.name, c.password)
		if got := code(err); got != c.want {
			t.Errorf("%+v: %v", c, err)
		}
		if e := hint.Find(err); e != nil && (e.What.FR == "" || e.Do.FR == "" || e.What.EN == "" || e.Do.EN == "") {
			t.Errorf("%s lacks words: %+v", e.Code, e)
		}
	}
	right := h.offer()
	if err := h.claim(ctx, strings.ToLower(strings.ReplaceAll(right, "-", " ")), "jeannine", "correct horse"); err != nil {
		t.Fatal(err)
	}
	if claimed, err := h.Claimed(ctx); !claimed || err != nil {
		t.Errorf("claimed %v, %v", claimed, err)
	}
	if err := h.claim(ctx, right, "eve", "correct horse"); code(err) != "claim-done" {
		t.Errorf("again: %v", err)
	}
	h.restart()
	if claimed, err := h.Claimed(ctx); !claimed || err != nil {
		t.Errorf("after a restart: claimed %v, %v", claimed, err)
	}
	if err := h.claim(ctx, right, "eve", "correct horse"); code(err) != "claim-done" {
		t.Errorf("again after a restart: %v", err)
	}
	// A code made for a server that has an owner comes to nothing.
	if err := h.claim(ctx, h.offer(), "eve", "correct horse"); code(err) != "claim-done" {
		t.Errorf("with a new code: %v", err)
	}
	if o, err := claim.Pending(h.dir); o != nil || err != nil {
		t.Errorf("the note is still there: %v, %v", o, err)
	}
	// The owner is an ordinary account.
	err := h.db.Read(ctx, func(tx kinto.Reader) error {
		o, err := tx.Get(accounts("jeannine"), "jeannine")
		if o == nil || string(o.Permissions) != `{"write":["account:jeannine"]}` || !strings.HasPrefix(string(o.Data), `{"password":"$2a$`) {
			t.Errorf("the account: %+v", o)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestOneOwner: of any number of callers with the right code one becomes the owner.
func TestOneOwner(t *testing.T) {
	t.Attr("shows", "attacks")
	h := newHouse(t, nil)
	right := h.offer()
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = h.claim(context.Background(), right, fmt.Sprintf("owner%d", i), "correct horse") })
	}
	wg.Wait()
	owner := ""
	for i, err := range errs {
		switch c := code(err); {
		case err == nil && owner == "":
			owner = fmt.Sprintf("owner%d", i)
		case err == nil:
			t.Error("two owners")
		case c != "claim-done" && c != "claim-wrong" && c != "claim-expired":
			t.Errorf("got %v", err)
		}
	}
	if owner == "" {
		t.Fatalf("no owner: %v", errs)
	}
	for i := range errs {
		name := fmt.Sprintf("owner%d", i)
		if (h.ask(name, "correct horse", "192.0.2.1") != "nobody") != (name == owner) {
			t.Errorf("the owner is %s; %s has an account, or has none", owner, name)
		}
	}
}

// The pauses of codes and of passwords grow alike.
func TestPausesDouble(t *testing.T) {
	t.Attr("shows", "attacks")
	var got []time.Duration
	for tries := 1; tries <= 45; tries++ {
		if pause := pauseAfter(tries, 5, time.Hour); pause > 0 {
			got = append(got, pause)
		} else if tries%5 == 0 {
			t.Errorf("no pause after %d", tries)
		}
	}
	if diff := cmp.Diff([]time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCodesExpire(t *testing.T) {
	h := newHouse(t, nil)
	right, o, err := claim.NewCode(time.Now().Add(-claim.Validity - time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Leave(h.dir, o, -1, -1); err != nil {
		t.Fatal(err)
	}
	if err := h.claim(t.Context(), right, "jeannine", "correct horse"); code(err) != "claim-expired" {
		t.Errorf("got %v", err)
	}
}

func TestOfferOfAnOwner(t *testing.T) {
	h := newHouse(t, nil)
	ctx := t.Context()
	if err := h.TakeOffer(ctx); err != nil {
		t.Fatalf("without a note: %v", err)
	}
	leave := func(name string) claim.Offer {
		o, err := claim.ForOwner(name, "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		if err := claim.Leave(h.dir, o, -1, -1); err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := leave("jeannine")
	if err := h.TakeOffer(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(claim.Path(h.dir)); !os.IsNotExist(err) {
		t.Errorf("the note: %v", err)
	}
	if claimed, err := h.Claimed(ctx); !claimed || err != nil || h.ask("jeannine", "correct horse", "192.0.2.1") != "account:jeannine" {
		t.Errorf("claimed %v, %v", claimed, err)
	}
	// Power failed between the commit and the removal of the note.
	if err := claim.Leave(h.dir, o, -1, -1); err != nil {
		t.Fatal(err)
	}
	// And later somebody leaves another.
	leave("eve")
	if err := h.TakeOffer(ctx); err != nil {
		t.Fatal(err)
	}
	if h.ask("eve", "correct horse", "192.0.2.1") != "nobody" {
		t.Error("a second owner was made")
	}
}
