package installer

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
)

// allAnswers are answers to the questions that may be answered otherwise, in all the
// combinations that can be given: what does not belong to the others is left out, and what
// is refused, too.
func allAnswers(t *testing.T) []Values {
	t.Helper()
	dimensions := []struct {
		key   string
		texts []string
	}{
		{"where", []string{WhereHome, WhereReachable, WhereServer}},
		{"addresses", []string{"", "cloud.foyer-server.org", "nas.duckdns.org 192.168.1.20"}},
		{"dns.provider", []string{"", "duckdns", "gandi"}},
		{"dns.credentials", []string{"", "token=x"}},
		{"router", []string{"map", "off"}},
		{"certificates.email", []string{"", "a@foyer-server.org"}},
		{"https_port", []string{"443", "8443"}},
		{"proxy.listen", []string{"", "127.0.0.1:8888"}},
		{"language", []string{"", "fr"}},
	}
	all := []Values{{"name": "attic", "http_port": "80"}}
	for _, d := range dimensions {
		var next []Values
		for _, v := range all {
			for _, text := range d.texts {
				w := maps.Clone(v)
				w[d.key] = text
				next = append(next, w)
			}
		}
		all = next
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(v Values) bool {
		fits := v.fitting()
		maps.DeleteFunc(v, func(key, _ string) bool { _, ok := fits[key]; return !ok })
		is := fmt.Sprint(v)
		again := seen[is]
		seen[is] = true
		return again || slices.ContainsFunc(Changeable(), func(q Question) bool { return q.fits(v) && !q.Check(v, v.Get(q.Key)).IsZero() })
	})
}

// installed are the settings an install with these answers makes, and its file.
func installed(t *testing.T, v Values) (*config.Settings, []byte) {
	t.Helper()
	a, err := LoadAnswers("", nil, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Settings()
	if err != nil {
		t.Fatal(err)
	}
	l, _ := hint.ParseLang(s.Language)
	return s, s.File(l)
}

// What was answered at the install is told from the settings: the same answers, but where
// others write the same file.
func TestTodaysAnswersAreThoseOfTheInstall(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	all, behind := allAnswers(t), 0
	for _, v := range all {
		s, file := installed(t, v)
		today := Today(s)
		if v.Get("proxy.listen") != "" { // where such a server lives changes nothing
			behind++
		} else if today.Get("where") != v.Get("where") {
			t.Errorf("%v: it lives at %q", v, today.Get("where"))
		}
		for _, q := range Changeable() {
			if q.Key != "where" && q.fits(v) && today.Get(q.Key) != v.Get(q.Key) {
				t.Errorf("%v: %s is %q", v, q.Key, today.Get(q.Key))
			}
		}
		if _, again := installed(t, today); !bytes.Equal(file, again) {
			t.Errorf("%v: an install with %v writes another file", v, today)
		}
		if c, err := choose(s, nil); err != nil || c.wrong() != nil {
			t.Errorf("%v: wrong without any answer: %v, %v", v, c.wrong(), err)
		}
	}
	t.Logf("SHOW today's answers are those of the install: %d combinations of answers, %d of them behind a proxy", len(all), behind)
}

// Whoever answers otherwise gets what an install with these answers would have written, and
// with the old answers the old file again, byte for byte.
func TestOtherAnswersAreAnotherInstall(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	all, pairs, each := allAnswers(t), 0, 1
	if os.Getenv("SHOW_WHOLE") != "" {
		each = 10
	}
	to := func(from *config.Settings, text []byte, v Values) (*config.Settings, []byte) {
		t.Helper()
		plan, wanted, err := PlanChange(from, v)
		if err != nil {
			t.Fatalf("%v → %v: %v", Today(from), v, err)
		}
		edited, now, err := config.EditFile("foyer.toml", text, editsTo(from, wanted))
		if err != nil || len(config.Differ(now, wanted)) > 0 {
			t.Fatalf("%v → %v: %v, %v", Today(from), v, err, config.Differ(now, wanted))
		}
		if (len(plan.Differs) == 0) != bytes.Equal(text, edited) {
			t.Fatalf("%v → %v: the plan tells of %v", Today(from), v, plan.Differs)
		}
		return wanted, edited
	}
	for _, a := range all {
		was, file := installed(t, a)
		for _, i := range rand.Perm(len(all))[:each] {
			b := all[i]
			want, wantFile := installed(t, b)
			got, gotFile := to(was, file, b)
			if d := config.Differ(got, want); len(d) > 0 || !bytes.Equal(gotFile, wantFile) {
				t.Fatalf("%v → %v: %v are not as an install makes them", a, b, d)
			}
			back, backFile := to(got, gotFile, a)
			if d := config.Differ(back, was); len(d) > 0 || !bytes.Equal(backFile, file) {
				t.Fatalf("%v → %v, and back: %v", a, b, d)
			}
			pairs++
		}
	}
	t.Logf("SHOW other answers write what an install with them writes, and the way back the old file: %d pairs of %d combinations", pairs, len(all))
}
