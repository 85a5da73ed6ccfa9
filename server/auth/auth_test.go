package auth

import (
	"bytes"
	"context"
	"encoding/base64"
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
	*Auth
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
	h.Auth = New(h.db, config.NewKinto(settings), h.dir, log)
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

func (h *house) identify(name, password string) kinto.Caller {
	h.t.Helper()
	who, err := h.Identify(h.t.Context(), "Basic "+base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
	if err != nil {
		h.t.Fatal(err)
	}
	return who
}

func (h *house) claim(ctx context.Context, code, name, password string) error {
	_, err := h.Claim(ctx, code, name, Secret{Password: password}, "a test")
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

func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return fmt.Sprint(err)
}

func TestBasicAuth(t *testing.T) {
	h := newHouse(t, map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "b4c96a8692291d88fe5a97dd91846eb4"})
	// echo -n 'alice:s3cret' | openssl dgst -sha256 -hmac b4c96a8692291d88fe5a97dd91846eb4
	const id = "basicauth:4a915b46c2281528c24b3b1b1f04ae70c0bd0dea8c7839dd7f16a9f2e49790ee"
	if diff := cmp.Diff(kinto.Caller{ID: id, Principals: []string{id, "system.Authenticated", "system.Everyone"}}, h.identify("alice", "s3cret")); diff != "" {
		t.Error(diff)
	}
	if h.identify("alice", "").ID == "" {
		t.Error("an empty password is allowed")
	}
	for _, header := range []string{"", "Basic", "Basic !", "Bearer abc", "Basic " + base64.StdEncoding.EncodeToString([]byte(":pass")), "Basic " + base64.StdEncoding.EncodeToString([]byte("nocolon"))} {
		who, err := h.Identify(t.Context(), header)
		if diff := cmp.Diff(kinto.Anonymous(), who); diff != "" || err != nil {
			t.Errorf("%q: %v %s", header, err, diff)
		}
	}
}

func TestSecretIsMadeOnceAndKept(t *testing.T) {
	h := newHouse(t, map[string]string{"multiauth.policies": "basicauth"})
	first := h.identify("alice", "x")
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	h.open(map[string]string{"multiauth.policies": "basicauth"})
	if again := h.identify("alice", "x"); again.ID != first.ID || first.ID == "" {
		t.Errorf("%q, then %q", first.ID, again.ID)
	}
	other := newHouse(t, map[string]string{"multiauth.policies": "basicauth"})
	if other.identify("alice", "x").ID == first.ID {
		t.Error("two servers have the same secret")
	}
}

func TestAccounts(t *testing.T) {
	h := newHouse(t, map[string]string{"multiauth.policies": "account basicauth nonsense"})
	if !strings.Contains(h.log.String(), "nonsense") {
		t.Error("a policy that is not there is not told of")
	}
	if diff := cmp.Diff([]string{"account", "basicauth"}, h.Policies()); diff != "" {
		t.Error(diff)
	}
	code := h.offer()
	if err := h.claim(t.Context(), code, "jeannine", "correct horse"); err != nil {
		t.Fatal(err)
	}
	const id = "account:jeannine"
	for range 2 { // the second time from memory
		if diff := cmp.Diff(kinto.Caller{ID: id, Principals: []string{id, "system.Authenticated", "system.Everyone"}, Owner: true}, h.identify("jeannine", "correct horse")); diff != "" {
			t.Error(diff)
		}
	}
	// What is wrong falls through to the next policy.
	for _, c := range [][2]string{{"jeannine", "wrong horse"}, {"Jeannine", "correct horse"}, {"jeannin", "ecorrect horse"}, {"nobody", "correct horse"}, {"/../", "x"}} {
		if who := h.identify(c[0], c[1]); !strings.HasPrefix(who.ID, "basicauth:") {
			t.Errorf("%v is %s", c, who.ID)
		}
	}
	// A changed password counts at once, whatever is remembered.
	if err := h.db.Write(t.Context(), nil, func(tx kinto.Tx) error { return putAccount(tx, "jeannine", "$2a$10$none") }); err != nil {
		t.Fatal(err)
	}
	if who := h.identify("jeannine", "correct horse"); who.ID == id {
		t.Error("the old password is still good")
	}
	if s := h.log.String(); strings.Contains(s, "jeannine") || strings.Contains(s, "horse") || strings.Contains(s, code) {
		t.Errorf("the log tells secrets: %s", s)
	}
}

func TestRememberingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(30 * time.Second)
		key := [32]byte{1}
		v.remember(key, "hash")
		time.Sleep(v.rightFor - time.Second)
		if !v.remembers(key, "hash") || v.remembers(key, "other") || v.remembers([32]byte{2}, "hash") || v.remembers(key, "") {
			t.Error("what was right is not remembered, or too much is")
		}
		time.Sleep(time.Second)
		if v.remembers(key, "hash") {
			t.Error("remembered for too long")
		}
	})
}

// TestFlood: however many passwords are tried at once, few are hashed at a time,
// some wait, and the rest are turned away.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(30 * time.Second)
		v.slots = make(chan struct{}, 1)
		hold := make(chan struct{})
		var mu sync.Mutex
		var wg sync.WaitGroup
		running, most, away, done := 0, 0, 0, 0
		for range waitingFor + 36 {
			wg.Go(func() {
				err := v.slowly(t.Context(), func() {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					<-hold
					mu.Lock()
					running--
					mu.Unlock()
				})
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, kinto.ErrUnavailable) {
					away++
				} else if err == nil {
					done++
				}
			})
		}
		synctest.Wait()
		if away != 36 {
			t.Errorf("%d turned away", away)
		}
		close(hold)
		wg.Wait()
		if most != 1 || done != waitingFor {
			t.Errorf("%d at a time, %d done", most, done)
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
		if (h.identify(name, "correct horse").ID != "") != (name == owner) {
			t.Errorf("the owner is %s; %s has an account, or has none", owner, name)
		}
	}
}

func TestGuessingIsPausedAlsoAcrossARestart(t *testing.T) {
	t.Attr("shows", "attacks")
	h := newHouse(t, nil)
	ctx := t.Context()
	right := h.offer()
	// All at once, so that none is counted too late.
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 12 {
		wg.Go(func() {
			c := code(h.claim(context.Background(), "0000-0000", "eve", "correct horse"))
			mu.Lock()
			got[c]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"claim-wrong": 5, "claim-paused": 7}, got); diff != "" {
		t.Error(diff)
	}
	if err := h.claim(ctx, right, "jeannine", "correct horse"); code(err) != "claim-paused" {
		t.Errorf("the right code in the pause: %v", err)
	}
	h.restart()
	if err := h.claim(ctx, right, "jeannine", "correct horse"); code(err) != "claim-paused" {
		t.Errorf("after a restart: %v", err)
	}
	// Whoever is at the machine makes a new code and need not wait.
	if err := h.claim(ctx, h.offer(), "jeannine", "correct horse"); err != nil {
		t.Errorf("with a new code: %v", err)
	}
}

func TestPausesDouble(t *testing.T) {
	t.Attr("shows", "attacks")
	var g guesses
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour} {
		for range guessesAtOnce {
			if wait := g.count(now); wait != 0 {
				t.Fatalf("try %d has to wait %s", g.Tries, wait)
			}
		}
		if wait := g.count(now); wait != want {
			t.Errorf("after %d tries: %s, want %s", g.Tries, wait, want)
		}
		now = now.Add(want)
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
	if claimed, err := h.Claimed(ctx); !claimed || err != nil || h.identify("jeannine", "correct horse").ID != "account:jeannine" {
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
	if h.identify("eve", "correct horse").ID != "" {
		t.Error("a second owner was made")
	}
}
