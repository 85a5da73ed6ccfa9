package web

import (
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/people"
)

// answers are what somebody answers otherwise, as the forms of /change bring it. What a form
// showed and they left as it was is none of theirs: something else may follow for it from
// what they did answer.
type answers struct {
	given   map[string]string // by the key of the question
	secrets map[string]string // of those whose answers are not shown
	typed   []string          // whose secret was typed on a page before this one
	shown   map[string]bool   // the questions that were on the form
}

// readAnswers takes the fields of a form: given.KEY is what was answered on earlier pages,
// answer.KEY and secret.KEY what is answered here, shown.KEY what the page came with.
func readAnswers(form url.Values) answers {
	a := answers{given: map[string]string{}, secrets: map[string]string{}, typed: form["typed"], shown: map[string]bool{}}
	each := func(prefix string, f func(key, value string)) {
		for name := range form {
			if key, ok := strings.CutPrefix(name, prefix); ok {
				f(key, strings.TrimSpace(form.Get(name)))
			}
		}
	}
	each("given.", func(key, value string) { a.given[key] = value })
	each("shown.", func(key, _ string) { a.shown[key] = true })
	each("answer.", func(key, value string) {
		if _, before := a.given[key]; before || !a.shown[key] || value != strings.TrimSpace(form.Get("shown."+key)) {
			a.given[key] = value
		}
	})
	each("secret.", func(key, value string) {
		if value != "" {
			a.secrets[key] = value
		}
	})
	return a
}

// values are all of them, for the supervisor.
func (a answers) values() map[string]string {
	v := maps.Clone(a.given)
	maps.Copy(v, a.secrets)
	return v
}

// about leaves the answers to questions alone that there are, each where it belongs.
func (a *answers) about(questions []report.Question) {
	asked := map[string]bool{}
	for _, q := range questions {
		asked[q.Key] = true
		if q.Secret {
			delete(a.given, q.Key)
		}
	}
	other := func(key, _ string) bool { return !asked[key] }
	maps.DeleteFunc(a.given, other)
	maps.DeleteFunc(a.secrets, other)
}

// draftFor is how long answers that came to nothing yet are kept.
const draftFor = 15 * time.Minute

// draft is what an owner has answered so far.
type draft struct {
	answers
	session string // that the secrets are for
	planned bool   // they have seen what it comes to
	at      time.Time
}

// drafts are what owners have answered so far, by their names: so that signing in once more,
// another language or a page that is got again costs nobody their answers. They are in memory
// alone. A secret is for the session it was typed in, and for the same other answers.
type drafts struct {
	mu sync.Mutex
	of map[string]draft
}

func (d *drafts) keep(who *people.Person, a answers, planned bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.of, func(_ string, old draft) bool { return time.Since(old.at) > draftFor })
	d.of[who.Name] = draft{a, who.Session, planned, time.Now()}
}

func (d *drafts) drop(who *people.Person) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.of, who.Name)
}

func (d *drafts) get(who *people.Person) (draft, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.of[who.Name]
	if !ok || time.Since(old.at) > draftFor {
		return draft{}, false
	}
	old.answers = answers{given: maps.Clone(old.given), secrets: maps.Clone(old.secrets), typed: old.typed, shown: old.shown}
	for key := range old.secrets {
		old.typed = append(old.typed[:len(old.typed):len(old.typed)], key)
	}
	if old.session != who.Session {
		clear(old.secrets)
	}
	return old, true
}

// complete adds the secrets that were typed with these answers; false: one has to be typed
// once more.
func (d *drafts) complete(who *people.Person, a *answers) bool {
	if old, ok := d.get(who); ok && maps.Equal(old.given, a.given) {
		maps.Copy(a.secrets, old.secrets)
	}
	return a.whole()
}

// whole reports whether the secrets that were typed are there.
func (a answers) whole() bool {
	for _, key := range a.typed {
		if a.secrets[key] == "" {
			return false
		}
	}
	return true
}
