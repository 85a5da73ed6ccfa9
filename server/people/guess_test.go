package people

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/server/kinto"
)

// quick is a hash that is quick to compare.
func (h *house) quick(secret string) string {
	h.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(hash)
}

func (h *house) leave(o claim.Offer) {
	h.t.Helper()
	o.ID = rand.Text()
	if err := claim.Leave(h.dir, o, -1, -1); err != nil {
		h.t.Fatal(err)
	}
}

// owned makes a server that has an owner.
func owned(t *testing.T) *house {
	t.Helper()
	h := newHouse(t, nil)
	h.own()
	return h
}

// own gives a server an owner.
func (h *house) own() {
	h.t.Helper()
	h.leave(claim.Offer{Owner: "jeannine", PasswordHash: h.quick("correct horse")})
	if err := h.TakeOffer(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// door is where a short code is typed.
type door struct {
	name  string
	reset bool // of the owner there is; else whoever comes becomes the owner
	key   bool // a passkey is chosen, not a password
}

var doors = []door{{"claim", false, false}, {"claim with a passkey", false, true}, {"reset", true, false}, {"reset with a passkey", true, true}}

// visit is a server at whose door codes are tried.
type visit struct {
	*house
	door
}

func (d door) open(t *testing.T) visit {
	t.Helper()
	v := visit{newHouse(t, nil), d}
	v.few = &codeLimits{from: 5, all: 12, ahead: 4}
	v.codes.limits = *v.few
	if d.reset {
		v.own()
	}
	return v
}

// offer leaves the offer of a code, as claim.NewCode and claim.NewReset make them.
func (v visit) offer(code string) {
	v.t.Helper()
	valid := claim.Validity
	if v.reset {
		valid = claim.ResetValidity
	}
	v.leave(claim.Offer{CodeHash: v.quick(claim.Normalise(code)), Expires: time.Now().Add(valid).UTC(), Reset: v.reset})
}

const here, elsewhere = "192.0.2.1", "192.0.2.2"

// try types a code here, and returns the code of the answer; "in" is who was let in.
func (v visit) try(typed string) string { return v.tryFrom(here, typed) }

func (v visit) tryFrom(from, typed string) string {
	v.t.Helper()
	ctx, secret := context.Background(), Secret{Password: "another horse"}
	if v.key {
		key, err := v.offered(newDevice(v.t), "jeannine")
		if err != nil {
			v.t.Fatal(err)
		}
		secret = Secret{Passkey: key}
	}
	name, cookie, err := "jeannine", "", error(nil)
	if v.reset {
		name, cookie, err = v.Reset(ctx, typed, secret, from, "a test", "")
	} else {
		cookie, err = v.Claim(ctx, typed, name, secret, from, "a test")
	}
	if err != nil {
		return code(err)
	}
	if name != "jeannine" || v.who(cookie) != "jeannine" {
		v.t.Errorf("%s was let in with the cookie of %q", name, v.who(cookie))
	}
	return "in"
}

// Codes people type are short: there is a number of tries from each address and one from
// all, and whoever is at the machine makes a new code and need not wait.
func TestShortCodesAreGuessedAFewTimesOnly(t *testing.T) {
	t.Attr("shows", "mend")
	const right, renewed = "K7QX-9M2P", "0R5T-4B7C"
	const wrong, paused, in = "claim-wrong", "claim-paused", "in"
	// An act lets time go by, has something happen, then types a code so many times, and
	// says what each is answered with. "%" stands for another address each time.
	type act struct {
		wait  time.Duration
		do    func(visit)
		from  string
		typed string
		times int
		want  string
	}
	guess := func(times int, want string) act {
		return act{from: here, typed: "0000-0000", times: times, want: want}
	}
	everywhere := func(times int, want string) act {
		return act{from: "%", typed: "0000-0000", times: times, want: want}
	}
	types := func(typed, want string) act { return act{from: here, typed: typed, times: 1, want: want} }
	away := func(typed, want string) act { return act{from: elsewhere, typed: typed, times: 1, want: want} }
	wait := func(d time.Duration) act { return act{wait: d} }
	restart := act{do: func(v visit) { v.restart() }}
	renew := act{do: func(v visit) { v.offer(renewed) }}
	for _, c := range []struct {
		name string
		acts []act
	}{
		{"the right one at once", []act{types(right, in)}},
		{"as people type it", []act{types("k7qx 9m2p", in)}},
		{"after four wrong ones", []act{guess(4, wrong), types(right, in)}},
		{"after five wrong ones", []act{guess(5, wrong), types(right, paused), guess(2, paused)}},
		{"after five wrong ones, at another address", []act{guess(5, wrong), guess(30, paused), away(right, in)}},
		{"just before the pause is over", []act{guess(5, wrong), wait(time.Minute - 1), types(right, paused)}},
		{"after the pause", []act{guess(5, wrong), wait(time.Minute), types(right, in)}},
		{"the second pause is longer", []act{
			guess(5, wrong), wait(time.Minute), guess(5, wrong), wait(2*time.Minute - 1), types(right, paused), wait(1), types(right, in),
		}},
		{"tries in a pause make it no longer", []act{guess(5, wrong), wait(time.Minute - 1), guess(7, paused), wait(1), types(right, in)}},
		{"waiting beforehand buys nothing", []act{guess(4, wrong), wait(10 * time.Minute), guess(1, wrong), types(right, paused)}},
		{"all that one code has", []act{everywhere(11, wrong), away(right, in)}},
		{"and no more", []act{everywhere(12, wrong), away(right, paused), wait(10 * time.Minute), away(right, paused), everywhere(5, paused)}},
		{"a restart gives none back", []act{everywhere(5, wrong), restart, everywhere(4, wrong), restart, away(right, paused)}},
		{"a new code at once, and the old one no longer", []act{guess(5, wrong), renew, types(right, wrong), types(renewed, in)}},
		{"a new code begins anew", []act{everywhere(12, wrong), renew, guess(5, wrong), types(renewed, paused), away(renewed, in)}},
	} {
		for _, d := range doors {
			t.Run(d.name+", "+c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					v := d.open(t)
					v.offer(right)
					n := 0
					var got, want []string
					for _, a := range c.acts {
						time.Sleep(a.wait) // inside the bubble: no time passes outside
						if a.do != nil {
							a.do(v)
						}
						for range a.times {
							from := a.from
							if n++; from == "%" {
								from = fmt.Sprintf("2001:db8:%x::/64", n)
							}
							got, want = append(got, v.tryFrom(from, a.typed)), append(want, a.want)
						}
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}

// Whoever uses up all tries of a code finds it once in eleven million times; and all
// that a flood of 30,000 in a minute can do leaves whoever made the code a minute.
func TestOddsOfACode(t *testing.T) {
	t.Attr("shows", "mend")
	if odds := float64(1<<40) / codeTries; odds < 10e6 {
		t.Errorf("one in %.0f", odds)
	}
	if codeTries < 3*30_000 {
		t.Error("a flood spends a code within three minutes")
	}
	c := newHouse(t, nil).codes
	if diff := cmp.Diff(codeLimits{codeTriesFrom, codeTries, codeAhead}, c.limits, cmp.AllowUnexported(codeLimits{})); diff != "" {
		t.Error(diff)
	}
	t.Logf("SHOW guessing a code with all its tries: once in %d codes", 1<<40/codeTries)
}

// However many try at once, each try is counted before it is made.
func TestGuessesAtOnceAreCountedEach(t *testing.T) {
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			v := d.open(t)
			v.offer("K7QX-9M2P")
			if err := v.TakeOffer(t.Context()); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			answers := make([]string, 12)
			for i := range answers {
				wg.Go(func() { answers[i] = v.try("0000-0000") })
			}
			wg.Wait()
			slices.Sort(answers)
			want := slices.Concat(slices.Repeat([]string{"claim-paused"}, 7), slices.Repeat([]string{"claim-wrong"}, 5))
			if diff := cmp.Diff(want, answers); diff != "" {
				t.Error(diff)
			}
			if answer := v.try("K7QX-9M2P"); answer != "claim-paused" {
				t.Errorf("the right one: %s", answer)
			}
			if answer := v.tryFrom(elsewhere, "K7QX-9M2P"); answer != "in" {
				t.Errorf("the right one elsewhere: %s", answer)
			}
		})
	}
}

// A code opens the one door it was made for, once; at another it is not even compared.
func TestACodeOpensOneDoorOnce(t *testing.T) {
	const right = "K7QX-9M2P"
	t.Run("a claim code does not reset", func(t *testing.T) {
		v := door{}.open(t)
		v.offer(right)
		for range 20 {
			if answer := (visit{v.house, door{reset: true}}).try(right); answer != "claim-expired" {
				t.Errorf("as a reset code: %s", answer)
			}
		}
		if answer := v.try(right); answer != "in" {
			t.Errorf("as what it is: %s", answer)
		}
		if answer := v.try(right); answer != "claim-done" {
			t.Errorf("again: %s", answer)
		}
	})
	t.Run("a reset code does not claim", func(t *testing.T) {
		v := door{reset: true}.open(t)
		v.offer(right)
		if answer := (visit{v.house, door{}}).try(right); answer != "claim-done" {
			t.Errorf("as a claim code: %s", answer)
		}
		if answer := v.try(right); answer != "in" {
			t.Errorf("as what it is: %s", answer)
		}
		if answer := v.try(right); answer != "claim-expired" {
			t.Errorf("again: %s", answer)
		}
	})
	t.Run("what cannot be a password costs no try", func(t *testing.T) {
		v := door{reset: true}.open(t)
		v.offer(right)
		for range 20 {
			if _, _, err := v.Reset(t.Context(), "0000-0000", Secret{Password: "short"}, here, "a test", ""); code(err) != "password-weak" {
				t.Errorf("got %v", err)
			}
		}
		if answer := v.try(right); answer != "in" {
			t.Errorf("after that: %s", answer)
		}
	})
}

// between does something before the n-th write, once.
type between struct {
	kinto.Store
	n  int
	do func()
}

func (b *between) Write(ctx context.Context, lists []kinto.List, fn func(kinto.Tx) error) error {
	if b.n--; b.n == 0 {
		b.do()
	}
	return b.Store.Write(ctx, lists, fn)
}

// Somebody makes a new code while the old one is being used: the old one is none any
// more, even if it was found right a moment ago.
func TestANewCodeEndsTheOldOneAtOnce(t *testing.T) {
	const right, renewed = "K7QX-9M2P", "0R5T-4B7C"
	for _, d := range doors {
		if d.key { // making a passkey writes, too
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			v := d.open(t)
			v.offer(right)
			if err := v.TakeOffer(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := &between{v.core.store, 2, func() { // the first one counts the try, the second makes it count
				v.offer(renewed)
				if err := v.TakeOffer(t.Context()); err != nil {
					t.Error(err)
				}
			}}
			v.core.store, v.codes.store = b, b
			got := []string{v.try(right), v.try(right), v.try(renewed)}
			if diff := cmp.Diff([]string{"claim-wrong", "claim-wrong", "in"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The codes of links cannot be guessed: they have 130 random bits, and serve once, and
// for 7 days. So nobody counts who tries others, nobody who guesses spoils them for whom
// they are, and they are no way around the limit of short ones.
func TestLinksServeOnceHoweverOftenOthersAreTried(t *testing.T) {
	owner := &Person{Name: "jeannine", Owner: true}
	for _, c := range []struct {
		name  string
		offer func(h *house) (string, error)
		use   func(h *house, code string) error
		other func(h *house, code string) error // at the door it was not made for
	}{
		{
			"invitation",
			func(h *house) (string, error) { return h.Invite(h.t.Context(), owner, "a friend", false) },
			func(h *house, code string) error { return h.useInvitation(code) },
			func(h *house, code string) error { return h.useReset(code) },
		},
		{
			"reset of a member",
			func(h *house) (string, error) { return h.OfferReset(h.t.Context(), owner, "paul") },
			func(h *house, code string) error { return h.useReset(code) },
			func(h *house, code string) error { return h.useInvitation(code) },
		},
	} {
		const week = 7 * 24 * time.Hour
		for _, wait := range []time.Duration{0, week - time.Second, week} {
			t.Run(c.name+" after "+wait.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := owned(t)
					if err := h.change(t.Context(), "jeannine", func(tx kinto.Tx, _ *person, _ string) error {
						return putAccount(tx, "paul", h.quick("pauls horse"))
					}); err != nil {
						t.Fatal(err)
					}
					made, err := c.offer(h)
					if err != nil {
						t.Fatal(err)
					}
					if len(made) != 26 { // of base32
						t.Fatalf("a code of %d characters", len(made))
					}
					time.Sleep(wait)
					flipped := made[:25] + string(made[25]^1)
					for _, wrong := range append(slices.Repeat([]string{rand.Text()}, 30), flipped, made[:25], made+"A", made[:13], "0000-0000------") {
						if err := c.use(h, wrong); code(err) != "invite-gone" {
							t.Fatalf("%s: %v", wrong, err)
						}
					}
					if err := c.other(h, made); code(err) != "invite-gone" {
						t.Errorf("at another door: %v", err)
					}
					first := "<nil>"
					if wait >= week {
						first = "invite-gone"
					}
					answers := []string{code(c.use(h, strings.ToLower(made[:9])+" "+made[9:])), code(c.use(h, made))}
					if diff := cmp.Diff([]string{first, "invite-gone"}, answers); diff != "" {
						t.Errorf("used, and again: %s", diff)
					}
				})
			})
		}
	}
}

// useInvitation and useReset use the code of a link.
func (h *house) useInvitation(code string) error {
	_, err := h.Join(h.t.Context(), code, "friend", Secret{Password: "friends horse"}, "a test", "")
	return err
}

func (h *house) useReset(code string) error {
	_, _, err := h.Reset(h.t.Context(), code, Secret{Password: "another horse"}, here, "a test", "")
	return err
}

// Passwords are guessed a few times, by the name and by where one comes from. A device
// that is known has a few tries of its own. In a pause the right one is as good as any.
func TestPasswordsAreGuessedAFewTimesOnly(t *testing.T) {
	t.Attr("shows", "mend")
	const wrong, paused, in = "signin-wrong", "signin-paused", "in"
	const right = "correct horse"
	// An act lets time go by, has something happen, then signs in so many times, and says
	// what each is answered with. "%" stands for another one each time.
	type act struct {
		wait     time.Duration
		do       func(*house)
		times    int
		name     string
		password string
		from     string
		browser  bool // the one that has a device cookie, once it was let in
		api      bool // an app asks the API
		want     string
	}
	guess := func(times int, want string) act {
		return act{times: times, name: "jeannine", password: "%", from: here, want: want}
	}
	knows := func(from, want string) act {
		return act{times: 1, name: "jeannine", password: right, from: from, want: want}
	}
	browser := func(times int, password, want string) act {
		return act{times: times, name: "jeannine", password: password, from: "%", browser: true, want: want}
	}
	app := func(times int, password, from, want string) act {
		return act{times: times, name: "jeannine", password: password, from: from, api: true, want: want}
	}
	const jeannine, nobody, unavailable = "account:jeannine", "nobody", "unavailable"
	wait := func(d time.Duration) act { return act{wait: d} }
	restart := act{do: func(h *house) { h.restart() }}
	attack := act{times: 20, name: "jeannine", password: "%", from: "%", want: wrong}
	var longest []act
	for _, pause := range []time.Duration{1, 2, 4, 8, 15, 15} {
		longest = append(longest, attack, wait(pause*time.Minute-1), knows(here, paused), wait(1))
	}
	for _, c := range []struct {
		name     string
		policies string
		acts     []act
	}{
		{"after 19 wrong ones", "", []act{guess(19, wrong), knows(here, in)}},
		{"after 20 wrong ones", "", []act{guess(20, wrong), knows(here, paused), knows(elsewhere, paused), guess(3, paused)}},
		{"right ones cost no try", "", []act{guess(19, wrong), {times: 5, name: "jeannine", password: right, from: here, want: in}, app(5, right, elsewhere, jeannine), guess(1, wrong), knows(here, paused)}},
		{"just before the pause is over", "", []act{guess(20, wrong), wait(time.Minute - 1), knows(here, paused)}},
		{"after the pause", "", []act{guess(20, wrong), wait(time.Minute), knows(here, in)}},
		{"the second pause is longer", "", []act{
			guess(20, wrong), wait(time.Minute), guess(20, wrong), wait(2*time.Minute - 1), knows(elsewhere, paused), wait(1), knows(elsewhere, in),
		}},
		{"and doubles up to a quarter of an hour", "", append(longest, knows(here, in))},
		{"a name nobody has", "", []act{
			{times: 20, name: "nobody", password: "%", from: here, want: wrong}, {times: 1, name: "nobody", password: "%", from: here, want: paused}, knows(here, in),
		}},
		{"the same wrong one is one", "", []act{
			{times: 50, name: "jeannine", password: "old horse", from: here, want: wrong}, guess(18, wrong), knows(here, in),
		}},
		{"a restart does not forget who guessed", "", []act{knows(here, in), guess(20, wrong), restart, knows(here, paused), guess(1, paused)}},
		{"counted anew after a while", "", []act{guess(20, wrong), wait(75 * time.Minute), guess(19, wrong), knows(here, in)}},
		{"and not before", "", []act{guess(19, wrong), wait(75*time.Minute - time.Second), guess(1, wrong), knows(here, paused)}},
		{"59 names from one address", "", []act{{times: 59, name: "%", password: "%", from: here, want: wrong}, knows(here, in)}},
		{"60 names from one address", "", []act{
			{times: 60, name: "%", password: "%", from: here, want: wrong}, knows(here, paused), knows(elsewhere, in),
		}},
		{"one name from many addresses", "", []act{attack, knows(here, paused)}},
		{"right since the server started, and in the pause as good as any", "", []act{
			knows(here, in), app(1, right, here, jeannine), attack, knows(here, paused), app(1, right, elsewhere, unavailable), knows(elsewhere, paused), app(1, right, elsewhere, unavailable),
		}},

		{"a browser that is known goes on", "", []act{browser(1, right, in), attack, knows(here, paused), browser(3, right, in), restart, browser(1, right, in)}},
		{"with five tries of its own", "", []act{browser(1, right, in), attack, browser(4, "%", wrong), browser(1, right, in), browser(1, "%", wrong), browser(1, right, paused), browser(1, "%", paused)}},
		{"a day", "", []act{browser(1, right, in), browser(5, "%", wrong), wait(24*time.Hour - time.Second), attack, browser(1, right, paused), wait(time.Second), browser(1, right, in)}},
		{"then it is a stranger, and no worse", "", []act{browser(1, right, in), browser(5, "%", wrong), browser(1, right, in), browser(20, "%", wrong), browser(1, right, paused)}},
		{"and is known for its own name alone", "", []act{browser(1, right, in), {times: 20, name: "anna", password: "%", from: "%", browser: true, want: wrong}, {times: 1, name: "anna", password: "%", from: "%", browser: true, want: paused}}},

		{"by apps", "", []act{app(20, "%", here, nobody), app(1, right, elsewhere, unavailable), knows(here, paused)}},
		{"by apps at one address", "", []act{{times: 60, name: "%", password: "%", from: here, api: true, want: nobody}, app(1, right, here, unavailable), app(1, right, elsewhere, jeannine)}},
		{"an app that is known goes on", "", []act{app(1, right, here, jeannine), attack, app(9, right, here, jeannine), wait(31 * time.Second), app(9, right, here, jeannine), restart, app(1, right, here, jeannine), app(1, right, elsewhere, unavailable)}},
		{"with five tries of its own, the app", "", []act{app(1, right, here, jeannine), attack, app(4, "%", here, nobody), app(1, right, here, jeannine), app(1, "%", here, nobody), app(1, "%", here, unavailable), app(1, right, here, unavailable), wait(24 * time.Hour), attack, app(1, right, here, jeannine)}},
		{"an app whose password was changed", "", []act{app(1, right, here, jeannine), {do: func(h *house) { h.repassword("jeannine", "another horse") }}, app(30, right, here, nobody), app(1, "another horse", here, jeannine)}},
		{"by apps, where any password is somebody's", "account basicauth", []act{app(20, "%", here, nobody), app(1, right, elsewhere, unavailable), knows(here, paused)}},
		{"and names that no account has", "account basicauth", []act{{times: 25, name: "alice", password: "%", from: here, api: true, want: nobody}, app(1, right, here, jeannine)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := owned(t)
				if c.policies != "" {
					if err := h.db.Close(); err != nil {
						t.Fatal(err)
					}
					h.open(map[string]string{"multiauth.policies": c.policies})
				}
				n, jar := 0, ""
				other := func(text, another string) string {
					if text != "%" {
						return text
					}
					n++
					return fmt.Sprintf(another, n)
				}
				var got, want []string
				for _, a := range c.acts {
					time.Sleep(a.wait) // inside the bubble: no time passes outside
					if a.do != nil {
						a.do(h)
					}
					for range a.times {
						name, password, from := other(a.name, "name%d"), other(a.password, "guess %d"), From{Address: other(a.from, "2001:db8:%x::/64")}
						if a.browser {
							from.Device = jar
						}
						answer := ""
						if a.api {
							answer = h.ask(name, password, from.Address)
						} else if cookie, err := h.SignIn(t.Context(), name, password, from, "a test", ""); err != nil {
							answer = code(err)
						} else if h.who(cookie) == name {
							answer = in
							if a.browser && a.wait == 0 && jar == "" {
								if jar, err = h.DeviceCookie(t.Context(), jar, name); err != nil {
									t.Fatal(err)
								}
							}
						}
						got, want = append(got, answer), append(want, a.want)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// repassword gives somebody another password.
func (h *house) repassword(name, password string) {
	h.t.Helper()
	err := h.change(h.t.Context(), name, func(tx kinto.Tx, _ *person, _ string) error { return putAccount(tx, name, h.quick(password)) })
	if err != nil {
		h.t.Fatal(err)
	}
}

// What a browser says of itself counts only if this server signed it, and for as many
// names as there are in a family.
func TestDeviceCookiesAreOurs(t *testing.T) {
	h, other := owned(t), owned(t)
	ctx := t.Context()
	names := func(cookie string) (out []string) {
		all, err := h.readDevice(ctx, cookie)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			out = append(out, d.Name)
		}
		return out
	}
	add := func(h *house, cookie, name string) string {
		cookie, err := h.DeviceCookie(ctx, cookie, name)
		if err != nil {
			t.Fatal(err)
		}
		return cookie
	}
	mine := add(h, "", "jeannine")
	if diff := cmp.Diff([]string{"jeannine"}, names(mine)); diff != "" {
		t.Error(diff)
	}
	for i := range mine {
		for _, c := range []byte{'A', '.'} {
			if forged := mine[:i] + string(c) + mine[i+1:]; forged != mine && names(forged) != nil && i < len(mine)-1 { // the last character has bits to spare
				t.Fatalf("changed at %d: %v", i, names(forged))
			}
		}
	}
	if got := names(add(other, "", "jeannine")); got != nil {
		t.Errorf("made by another server: %v", got)
	}
	if got := names(strings.Repeat("x.", 10_000)); got != nil {
		t.Errorf("of nothing: %v", got)
	}
	for age, want := range map[time.Duration][]string{DeviceFor - time.Hour: {"jeannine"}, DeviceFor + time.Second: nil} {
		text, err := json.Marshal(knownDevice{"jeannine", "x", time.Now().Add(-age)})
		if err != nil {
			t.Fatal(err)
		}
		mac, err := h.sign(ctx, "device", text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, names(b64(append(mac, text...)))); diff != "" {
			t.Errorf("after %s: %s", age, diff)
		}
	}
	all := mine
	for _, name := range []string{"anna", "paul", "jeannine", "lea", "max", "eva"} {
		all = add(h, all, name)
	}
	if diff := cmp.Diff([]string{"eva", "max", "lea", "jeannine", "paul"}, names(all)); diff != "" {
		t.Error(diff)
	}
}

// A pause keeps out nobody who needs no password: sessions, passkeys and apps go on.
func TestAPauseIsForPasswordsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := owned(t)
		cookie, err := h.SignIn(t.Context(), "jeannine", "correct horse", From{Address: here}, "a test", "")
		if err != nil {
			t.Fatal(err)
		}
		app, err := h.NewApp(t.Context(), "jeannine", "an app")
		if err != nil {
			t.Fatal(err)
		}
		d := newDevice(t)
		key, err := h.offered(d, "jeannine")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.AddPasskey(t.Context(), "jeannine", key); err != nil {
			t.Fatal(err)
		}
		h.restart() // nobody is known from before
		for n := range wrongAtOnce {
			if _, err := h.SignIn(t.Context(), "jeannine", fmt.Sprint("guess ", n), From{Address: here}, "a test", ""); code(err) != "signin-wrong" {
				t.Fatal(err)
			}
		}
		if _, err := h.SignIn(t.Context(), "jeannine", "correct horse", From{Address: here}, "a test", ""); code(err) != "signin-paused" {
			t.Errorf("the password: %v", err)
		}
		if got := h.who(cookie); got != "jeannine" {
			t.Errorf("the session is of %q", got)
		}
		if got := h.ask("jeannine", app, here); got != "account:jeannine" {
			t.Errorf("the app is %q", got)
		}
		if cookie, err := h.signIn(d); err != nil || h.who(cookie) != "jeannine" {
			t.Errorf("the passkey: %v", err)
		}
	})
}

// Of any number of guesses made at once no more are compared than there are tries, and
// who showed the right password before goes on meanwhile.
func TestPasswordsGuessedAtOnceAreCountedEach(t *testing.T) {
	t.Attr("shows", "mend")
	h := owned(t)
	ctx := context.Background()
	if got := h.ask("jeannine", "correct horse", here); got != "account:jeannine" {
		t.Fatal(got)
	}
	var wg sync.WaitGroup
	answers := make([]string, 400)
	for i := range answers {
		wg.Go(func() {
			from := fmt.Sprintf("198.51.100.%d", i%40)
			if i%2 == 0 {
				_, err := h.SignIn(ctx, "jeannine", fmt.Sprint("guess ", i), From{Address: from}, "a test", "")
				answers[i] = code(err)
				return
			}
			_, err := h.ByPassword(ctx, "jeannine", fmt.Sprint("guess ", i), from)
			if answers[i] = code(err); err == nil {
				answers[i] = "signin-wrong"
			}
		})
	}
	for range 20 {
		wg.Go(func() {
			if ok, err := h.ByPassword(ctx, "jeannine", "correct horse", here); !ok || err != nil {
				t.Errorf("a known client: %v, %v", ok, err)
			}
		})
	}
	wg.Wait()
	got := map[string]int{}
	for _, a := range answers {
		got[a]++
	}
	if got["signin-wrong"] > wrongAtOnce || got["signin-wrong"] == 0 {
		t.Errorf("%v", got)
	}
	for n := got["signin-wrong"]; n < wrongAtOnce; n++ { // some were turned away without being compared
		if _, err := h.SignIn(ctx, "jeannine", fmt.Sprint("another guess ", n), From{Address: elsewhere}, "a test", ""); code(err) != "signin-wrong" {
			t.Errorf("guess %d: %v", n, err)
		}
	}
	if _, err := h.SignIn(ctx, "jeannine", "correct horse", From{Address: elsewhere}, "a test", ""); code(err) != "signin-paused" {
		t.Errorf("the right one of a stranger: %v", err)
	}
}
