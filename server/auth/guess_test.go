package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
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
	h.leave(claim.Offer{Owner: "jeannine", PasswordHash: h.quick("correct horse")})
	if err := h.TakeOffer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
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
	if d.reset {
		return visit{owned(t), d}
	}
	return visit{newHouse(t, nil), d}
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

// try types a code, and returns the code of the answer; "in" is who was let in.
func (v visit) try(typed string) string {
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
		name, cookie, err = v.Reset(ctx, typed, secret, "a test", "")
	} else {
		cookie, err = v.Claim(ctx, typed, name, secret, "a test")
	}
	if err != nil {
		return code(err)
	}
	if name != "jeannine" || v.who(cookie) != "jeannine" {
		v.t.Errorf("%s was let in with the cookie of %q", name, v.who(cookie))
	}
	return "in"
}

// Codes people type are short: after five wrong ones comes a pause, in which the right
// one is refused, too, and after which it is as good as before. Whoever is at the
// machine makes a new one and need not wait.
func TestShortCodesAreGuessedAFewTimesOnly(t *testing.T) {
	t.Attr("shows", "mend")
	const right, renewed = "K7QX-9M2P", "0R5T-4B7C"
	const wrong, paused, in = "claim-wrong", "claim-paused", "in"
	// An act lets time go by, has something happen, then types a code so many times, and
	// says what each is answered with.
	type act struct {
		wait  time.Duration
		do    func(visit)
		typed string
		times int
		want  string
	}
	guess := func(times int, want string) act { return act{typed: "0000-0000", times: times, want: want} }
	types := func(typed, want string) act { return act{typed: typed, times: 1, want: want} }
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
		{"just before the pause is over", []act{guess(5, wrong), wait(time.Minute - 1), types(right, paused)}},
		{"after the pause", []act{guess(5, wrong), wait(time.Minute), types(right, in)}},
		{"the second pause is longer", []act{
			guess(5, wrong), wait(time.Minute), guess(5, wrong), wait(2*time.Minute - 1), types(right, paused), wait(1), types(right, in),
		}},
		{"a pause is for five tries more", []act{guess(5, wrong), wait(time.Minute), guess(4, wrong), types(right, in)}},
		{"tries in a pause make it no longer", []act{guess(5, wrong), wait(time.Minute - 1), guess(7, paused), wait(1), types(right, in)}},
		{"waiting beforehand buys nothing", []act{guess(4, wrong), wait(10 * time.Minute), guess(1, wrong), types(right, paused)}},
		{"a restart forgets nothing", []act{guess(3, wrong), restart, guess(2, wrong), restart, types(right, paused), wait(time.Minute), types(right, in)}},
		{"a new code at once, and the old one no longer", []act{guess(5, wrong), renew, types(right, wrong), types(renewed, in)}},
		{"a new code has five tries of its own", []act{guess(4, wrong), renew, guess(5, wrong), types(renewed, paused)}},
	} {
		for _, d := range doors {
			t.Run(d.name+", "+c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					v := d.open(t)
					v.offer(right)
					var got, want []string
					for _, a := range c.acts {
						time.Sleep(a.wait) // inside the bubble: no time passes outside
						if a.do != nil {
							a.do(v)
						}
						for range a.times {
							got, want = append(got, v.try(a.typed)), append(want, a.want)
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

// Somebody tries the reset code of the owner as fast as they can for as long as it is
// good: 20 tries are all there are, of a million million codes.
func TestResetCodeInItsWholeLife(t *testing.T) {
	t.Attr("shows", "mend")
	synctest.Test(t, func(t *testing.T) {
		v := door{reset: true}.open(t)
		v.offer("K7QX-9M2P")
		got := map[string]int{}
		for got["claim-expired"] == 0 && got["claim-wrong"] < 100 {
			answer := v.try("0000-0000")
			if got[answer]++; answer == "claim-paused" {
				time.Sleep(5 * time.Second)
			}
		}
		// The pauses of 1, 2, 4 and 8 minutes are all of its 15.
		if diff := cmp.Diff(map[string]int{"claim-wrong": 20, "claim-paused": 15 * 60 / 5, "claim-expired": 1}, got); diff != "" {
			t.Error(diff)
		}
		if answer := v.try("K7QX-9M2P"); answer != "claim-expired" {
			t.Errorf("the right one when its time is over: %s", answer)
		}
	})
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
		})
	}
}

// A code opens the one door it was made for, once; at another it is not even compared.
func TestACodeOpensOneDoorOnce(t *testing.T) {
	const right = "K7QX-9M2P"
	t.Run("a claim code does not reset", func(t *testing.T) {
		v := door{}.open(t)
		v.offer(right)
		for range guessesAtOnce + 1 {
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
		for range guessesAtOnce + 1 {
			if _, _, err := v.Reset(t.Context(), "0000-0000", Secret{Password: "short"}, "a test", ""); code(err) != "password-weak" {
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
			b := &between{v.store, 2, func() { // the first one counts the try, the second makes it count
				v.offer(renewed)
				if err := v.TakeOffer(t.Context()); err != nil {
					t.Error(err)
				}
			}}
			v.store = b
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
	_, _, err := h.Reset(h.t.Context(), code, Secret{Password: "another horse"}, "a test", "")
	return err
}

// Passwords are guessed a few times, by the name and by where one comes from.
func TestPasswordsAreGuessedAFewTimesOnly(t *testing.T) {
	t.Attr("shows", "mend")
	const wrong, paused, in = "signin-wrong", "signin-paused", "in"
	const right, here, elsewhere = "correct horse", "192.0.2.1", "192.0.2.2"
	// An act lets time go by, has something happen, then signs in so many times, and says
	// what each is answered with. "%" stands for another one each time.
	type act struct {
		wait     time.Duration
		do       func(*house)
		times    int
		name     string
		password string
		from     string
		api      bool // an app asks the API; no address is known
		want     string
	}
	guess := func(times int, want string) act {
		return act{times: times, name: "jeannine", password: "%", from: here, want: want}
	}
	known := func(from, want string) act {
		return act{times: 1, name: "jeannine", password: right, from: from, want: want}
	}
	wait := func(d time.Duration) act { return act{wait: d} }
	restart := act{do: func(h *house) { h.restart() }}
	var longest []act
	for _, pause := range []time.Duration{1, 2, 4, 8, 15, 15} {
		longest = append(longest, act{times: 20, name: "jeannine", password: "%", from: "%", want: wrong}, wait(pause*time.Minute-1), known(here, paused), wait(1))
	}
	for _, c := range []struct {
		name     string
		policies string
		acts     []act
	}{
		{"after 19 wrong ones", "", []act{guess(19, wrong), known(here, in)}},
		{"after 20 wrong ones", "", []act{guess(20, wrong), known(here, paused), known(elsewhere, paused), guess(3, paused)}},
		{"just before the pause is over", "", []act{guess(20, wrong), wait(time.Minute - 1), known(here, paused)}},
		{"after the pause", "", []act{guess(20, wrong), wait(time.Minute), known(here, in)}},
		{"the second pause is longer", "", []act{
			guess(20, wrong), wait(time.Minute), guess(20, wrong), wait(2*time.Minute - 1), known(elsewhere, paused), wait(1), known(elsewhere, in),
		}},
		{"and doubles up to a quarter of an hour", "", append(longest, known(here, in))},
		{"a name nobody has", "", []act{
			{times: 20, name: "nobody", password: "%", from: here, want: wrong}, {times: 1, name: "nobody", password: "%", from: here, want: paused}, known(here, in),
		}},
		{"the same wrong one is one", "", []act{
			{times: 50, name: "jeannine", password: "old horse", from: here, want: wrong}, guess(18, wrong), known(here, in),
		}},
		{"a restart forgets who was known, and not who guessed", "", []act{known(here, in), guess(20, wrong), restart, known(here, paused), guess(1, paused)}},
		{"counted anew after a while", "", []act{guess(20, wrong), wait(75 * time.Minute), guess(19, wrong), known(here, in)}},
		{"and not before", "", []act{guess(19, wrong), wait(75*time.Minute - time.Second), guess(1, wrong), known(here, paused)}},
		{"59 names from one address", "", []act{{times: 59, name: "%", password: "%", from: here, want: wrong}, known(here, in)}},
		{"60 names from one address", "", []act{
			{times: 60, name: "%", password: "%", from: here, want: wrong}, known(here, paused), known(elsewhere, in),
		}},
		{"one name from many addresses", "", []act{{times: 20, name: "jeannine", password: "%", from: "%", want: wrong}, known(here, paused)}},
		{"by apps", "", []act{{times: 20, name: "jeannine", password: "%", want: "nobody", api: true}, {times: 1, name: "jeannine", password: right, want: "unavailable", api: true}, known(here, paused)}},
		{"by apps, where any password is somebody's", "account basicauth", []act{{times: 30, name: "jeannine", password: "%", want: "somebody", api: true}, known(here, in)}},
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
				n := 0
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
						name, password, from := other(a.name, "name%d"), other(a.password, "guess %d"), other(a.from, "2001:db8:%x::")
						answer := ""
						if a.api {
							answer = h.ask(name, password)
						} else if cookie, err := h.SignIn(t.Context(), name, password, from, "a test", ""); err != nil {
							answer = code(err)
						} else if h.who(cookie) == name {
							answer = in
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

// ask is what the API takes somebody for.
func (h *house) ask(name, password string) string {
	h.t.Helper()
	who, err := h.Identify(h.t.Context(), "Basic "+base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
	switch {
	case errors.Is(err, kinto.ErrUnavailable):
		return "unavailable"
	case err != nil:
		h.t.Fatal(err)
	case strings.HasPrefix(who.ID, "basicauth:"):
		return "somebody"
	case who.ID == "":
		return "nobody"
	}
	return who.ID
}

// A pause keeps out nobody who needs no password: sessions, passkeys and apps go on.
func TestAPauseIsForPasswordsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := owned(t)
		cookie, err := h.SignIn(t.Context(), "jeannine", "correct horse", "", "a test", "")
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
			if _, err := h.SignIn(t.Context(), "jeannine", fmt.Sprint("guess ", n), "", "a test", ""); code(err) != "signin-wrong" {
				t.Fatal(err)
			}
		}
		if _, err := h.SignIn(t.Context(), "jeannine", "correct horse", "", "a test", ""); code(err) != "signin-paused" {
			t.Errorf("the password: %v", err)
		}
		if got := h.who(cookie); got != "jeannine" {
			t.Errorf("the session is of %q", got)
		}
		if got := h.ask("jeannine", app); got != "account:jeannine" {
			t.Errorf("the app is %q", got)
		}
		if cookie, err := h.signIn(d); err != nil || h.who(cookie) != "jeannine" {
			t.Errorf("the passkey: %v", err)
		}
	})
}
