package auth

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/people"
	"github.com/foyer-server/foyer/server/storage"
)

// house is a data folder and what is made of it.
type house struct {
	t   *testing.T
	dir string
	db  *storage.SQLite
	log *bytes.Buffer
	*Auth
	people *people.People
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
	h.people = people.New(h.db, config.NewKinto(settings), h.dir, log)
	h.Auth = New(h.db, config.NewKinto(settings), h.people, log)
	if err := h.people.SetCost(bcrypt.MinCost); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) identify(name, password string) kinto.Caller {
	h.t.Helper()
	who, err := h.Identify(h.t.Context(), "Basic "+base64.StdEncoding.EncodeToString([]byte(name+":"+password)), "192.0.2.1")
	if err != nil {
		h.t.Fatal(err)
	}
	return who
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
		who, err := h.Identify(t.Context(), header, "192.0.2.1")
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
	offer, err := claim.ForOwner("jeannine", "correct horse")
	if err == nil {
		err = claim.Leave(h.dir, offer, -1, -1)
	}
	if err == nil {
		err = h.people.TakeOffer(t.Context())
	}
	if err != nil {
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
	if _, err := h.people.ChangePassword(t.Context(), &people.Person{Name: "jeannine"}, "correct horse", "another horse", people.From{}, "a test"); err != nil {
		t.Fatal(err)
	}
	if who := h.identify("jeannine", "correct horse"); who.ID == id {
		t.Error("the old password is still good")
	}
	if s := h.log.String(); strings.Contains(s, "jeannine") || strings.Contains(s, "horse") {
		t.Errorf("the log tells secrets: %s", s)
	}
}

// Four spellings of one password are one: accents as one character or two, in UTF-8 or in
// ISO 8859-1; of an account, not of the policy basicauth, whose ids they make.
func TestSpellingsOfCredentials(t *testing.T) {
	t.Attr("shows", "mend2")
	h := newHouse(t, map[string]string{"multiauth.policies": "account"})
	const composed, apart, latin = "d\u00e9j\u00e0 vu \u00e9t\u00e9", "de\u0301ja\u0300 vu e\u0301te\u0301", "d\xe9j\xe0 vu \xe9t\xe9"
	offer, err := claim.ForOwner("jeannine", apart)
	if err == nil {
		err = claim.Leave(h.dir, offer, -1, -1)
	}
	if err == nil {
		err = h.people.TakeOffer(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{composed, apart, latin} {
		if who := h.identify("jeannine", password); who.ID != "account:jeannine" {
			t.Errorf("%q: %q", password, who.ID)
		}
		if _, err := h.people.SignIn(t.Context(), "jeannine", decoded([]byte(password)), people.From{Address: "192.0.2.1"}, "a test", ""); err != nil {
			t.Errorf("%q on the page: %v", password, err)
		}
	}
	if who := h.identify("jeannine", "deja vu ete"); who.ID != "" {
		t.Errorf("without accents: %q", who.ID)
	}
	for _, name := range []string{"jeannine", "Jeannine", " jeannine ", "JEANNINE\t"} {
		if cookie, err := h.people.SignIn(t.Context(), name, composed, people.From{Address: "192.0.2.1"}, "a test", ""); err != nil || !strings.HasPrefix(cookie, "jeannine:") {
			t.Errorf("%q: %q, %v", name, cookie, err)
		}
	}
	app, err := h.people.NewApp(t.Context(), "jeannine", "notes")
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{app, strings.ToUpper(app[:1]) + app[1:], strings.ToUpper(app), " " + strings.ReplaceAll(app, "-", "- ") + "\t"} {
		if who := h.identify("jeannine", password); who.ID != "account:jeannine" || !who.App {
			t.Errorf("an app's password as %q: %+v", password, who)
		}
	}
	for _, password := range []string{app[:len(app)-1], strings.ReplaceAll(app, "-", ""), app + "a"} {
		if who := h.identify("jeannine", password); who.ID != "" {
			t.Errorf("no app's password, %q: %+v", password, who)
		}
	}
	b := newHouse(t, map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "x"})
	if b.identify("a", composed).ID != b.identify("a", latin).ID || b.identify("a", composed).ID == b.identify("a", apart).ID {
		t.Error("ids of the policy basicauth are not those of the reference")
	}
}
