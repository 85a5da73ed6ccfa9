package installer

import (
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/site"
)

// at is a server whose settings an install with these answers made, with others on top.
func at(t *testing.T, v Values, byHand ...string) *config.Settings {
	t.Helper()
	s, _ := installed(t, v)
	for i := 0; i < len(byHand); i += 2 {
		if err := s.Set(byHand[i], byHand[i+1], ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

func questionsOf(t *testing.T, s *config.Settings, given Values) map[string]report.Question {
	t.Helper()
	qs, err := ChangeQuestions(s, given)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]report.Question{}
	for _, q := range qs {
		out[q.Key] = q
	}
	return out
}

// At home the questions are few; other answers bring more, with what follows from them and
// what is wrong.
func TestQuestionsComeWithTheAnswers(t *testing.T) {
	t.Attr("shows", "ground2")
	home := at(t, Values{"name": "attic"})
	qs := questionsOf(t, home, nil)
	for _, key := range []string{"addresses", "dns.provider", "dns.credentials", "router", "data", "firewall", "owner"} {
		if _, asked := qs[key]; asked {
			t.Errorf("at home %s is asked", key)
		}
	}
	if q := qs["where"]; q.Value != WhereHome || !q.OnWay || len(q.Options) != 3 {
		t.Errorf("where: %+v", q)
	}
	if q := qs["language"]; q.Value != "" || q.Options[len(q.Options)-1].Value != "" || q.Options[len(q.Options)-1].Title.IsZero() { // as nobody is asked at an install without a screen
		t.Errorf("language: %+v", q)
	}
	// The way to be reachable.
	qs = questionsOf(t, home, Values{"where": WhereReachable})
	if q := qs["addresses"]; !q.OnWay || !q.Needed || q.Value != "" || !q.Wrong.IsZero() {
		t.Errorf("a name is needed, and nothing is wrong yet: %+v", q)
	}
	if q := qs["router"]; q.Value != "map" || q.OnWay {
		t.Errorf("router: %+v", q)
	}
	qs = questionsOf(t, home, Values{"where": WhereReachable, "addresses": "nas.local"})
	if q := qs["addresses"]; q.Wrong.IsZero() || q.Value != "nas.local" {
		t.Errorf("a name of home: %+v", q)
	}
	qs = questionsOf(t, home, Values{"where": WhereReachable, "addresses": "nas.duckdns.org"})
	if q := qs["dns.provider"]; q.Value != "duckdns" {
		t.Errorf("its service: %+v", q)
	}
	if q := qs["dns.credentials"]; !q.OnWay || !q.Needed || !q.Secret || q.Set {
		t.Errorf("its token: %+v", q)
	}
	qs = questionsOf(t, home, Values{"where": WhereReachable, "addresses": "nas.duckdns.org", "dns.credentials": "t0ken"})
	if q := qs["dns.credentials"]; q.Value != "" || !q.Wrong.IsZero() {
		t.Errorf("a secret is shown, or wrong: %+v", q)
	}
	// What is there already need not be typed again; what one service knows is not for another.
	reachable := at(t, Values{"where": WhereReachable, "addresses": "nas.duckdns.org", "dns.provider": "duckdns", "dns.credentials": "token=t0ken"})
	if q := questionsOf(t, reachable, nil)["dns.credentials"]; !q.Set || q.Needed || q.Value != "" {
		t.Errorf("a secret that is there: %+v", q)
	}
	if q := questionsOf(t, reachable, Values{"dns.provider": "desec"})["dns.credentials"]; q.Set || !q.Needed {
		t.Errorf("the secret of another service: %+v", q)
	}
	// Each answer is judged by itself, and both ports together.
	qs = questionsOf(t, home, Values{"http_port": "x", "https_port": "8443", "name": "-", "language": "fr"})
	for key, wrong := range map[string]bool{"http_port": true, "https_port": false, "name": true, "language": false, "where": false} {
		if qs[key].Wrong.IsZero() == wrong {
			t.Errorf("%s: %q", key, qs[key].Wrong.EN)
		}
	}
	if qs = questionsOf(t, home, Values{"http_port": "443", "https_port": "80"}); !qs["http_port"].Wrong.IsZero() || !qs["https_port"].Wrong.IsZero() {
		t.Errorf("ports exchanged: %q, %q", qs["http_port"].Wrong.EN, qs["https_port"].Wrong.EN)
	}
	if qs = questionsOf(t, home, Values{"where": "moon"}); qs["where"].Wrong.IsZero() {
		t.Error("a server on the moon")
	}
	for _, key := range []string{"data", "firewall", "owner", "owner_password", "limits.body", "kinto.readonly", "nothing"} {
		if _, err := ChangeQuestions(home, Values{key: "x"}); hint.Find(err) == nil || hint.Find(err).Code != "settings-malformed" {
			t.Errorf("%s is taken: %v", key, err)
		}
	}
}

// What somebody has set otherwise stays; what only followed from where the server lived
// follows where it lives.
func TestWhatSomebodySetStays(t *testing.T) {
	reachable := Values{"where": WhereReachable, "addresses": "nas.duckdns.org", "dns.provider": "duckdns", "dns.credentials": "token=x"}
	for _, c := range []struct {
		name   string
		from   Values
		byHand []string
		given  Values
		want   map[string]string
	}{
		{"what is no question", Values{}, []string{"limits.body", "5000", "certificates.rehearse", "off", "kinto.readonly", "true"}, reachable, map[string]string{"limits.body": "5000", "certificates.rehearse": "off", "kinto.readonly": "true", "router": "map", "dyndns": "router"}},
		{"the data", Values{}, []string{"data", "/srv/foyer"}, Values{"name": "attic"}, map[string]string{"data": "/srv/foyer"}},
		{"names at home", Values{}, []string{"addresses", "nas.lan"}, Values{"name": "attic"}, map[string]string{"addresses": "nas.lan"}},
		{"the way the router is asked", reachable, []string{"router", "upnp"}, Values{"name": "attic"}, map[string]string{"router": "upnp", "dyndns": "router"}},
		{"a server announced at home", Values{"where": WhereServer, "addresses": "cloud.foyer-server.org"}, []string{"mdns", "on", "router", "map"}, Values{"where": WhereServer}, map[string]string{"mdns": "off", "router": "off"}},
		{"the peer that tells the address", reachable, []string{"dyndns", "https://peer.foyer-server.org/"}, Values{"router": "off"}, map[string]string{"dyndns": "https://peer.foyer-server.org/"}},
		{"which nobody can keep any more", reachable, []string{"dyndns", "https://peer.foyer-server.org/"}, Values{"where": WhereHome}, map[string]string{"dyndns": "off", "addresses": "", "dns.provider": "", "dns.credentials": "", "router": "off", "mdns": "on"}},
		{"proxies that are believed", Values{"proxy.listen": "127.0.0.1:8888", "addresses": "cloud.foyer-server.org"}, []string{"proxy.trusted", "10.0.0.0/8"}, Values{"proxy.listen": "127.0.0.1:9999"}, map[string]string{"proxy.trusted": "10.0.0.0/8"}},
		{"a proxy here is believed", Values{}, nil, Values{"proxy.listen": "127.0.0.1:8888", "addresses": "cloud.foyer-server.org"}, map[string]string{"proxy.trusted": "127.0.0.1 ::1"}},
		{"and no more without it", Values{"proxy.listen": "127.0.0.1:8888", "addresses": "cloud.foyer-server.org"}, nil, Values{"proxy.listen": ""}, map[string]string{"proxy.trusted": "", "addresses": "cloud.foyer-server.org"}},
		{"an answer that does not belong", Values{}, nil, Values{"name": "attic", "router": "map", "dns.provider": "gandi"}, map[string]string{"router": "off", "dns.provider": "", "name": "attic"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := at(t, c.from, c.byHand...)
			_, wanted, err := PlanChange(s, c.given)
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range c.want {
				if got, _ := wanted.Get(key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
		})
	}
}

// A plan says what differs, what is done, and by which addresses it can be confirmed: within
// a minute and a half where somebody may be locked out, within ten where nobody is.
func TestAPlanSaysWhatItComesTo(t *testing.T) {
	t.Attr("shows", "ground2")
	home := at(t, Values{"name": "attic"})
	reachable := at(t, Values{"where": WhereReachable, "addresses": "cloud.foyer-server.org", "name": "attic"})
	proxied := at(t, Values{"where": WhereServer, "addresses": "cloud.foyer-server.org", "proxy.listen": "127.0.0.1:8888", "name": "attic"})
	for _, c := range []struct {
		name    string
		from    *config.Settings
		given   Values
		seconds int
		differs string // keys
		through string // the first of them
		gone    string // one of them
		says    []string
	}{
		{"nothing", home, Values{"name": "attic"}, 600, "", "https://attic.local/", "", nil},
		{"another language", home, Values{"language": "fr"}, 600, "language", "https://attic.local/", "", []string{"one of its settings", "restarted"}},
		{"reachable", home, Values{"where": WhereReachable, "addresses": "cloud.foyer-server.org"}, 600, "where addresses router", "https://cloud.foyer-server.org/", "", []string{"2 of its settings", "router is asked", "certificate that everybody trusts is ordered for cloud.foyer-server.org"}},
		{"home again", reachable, Values{"where": WhereHome}, 90, "where addresses router", "https://attic.local/", "https://cloud.foyer-server.org/", []string{"not asked any more"}},
		{"another name", home, Values{"name": "cellar"}, 90, "name", "https://cellar.local/", "https://attic.local/", []string{"found by the name cellar.local"}},
		{"another port", home, Values{"https_port": "8443"}, 90, "https_port", "https://attic.local:8443/", "https://attic.local/", []string{"listens on ports 80 and 8443", "on port 8443, and no more on port 443"}},
		{"behind a proxy", reachable, Values{"proxy.listen": "127.0.0.1:8888"}, 90, "where router proxy.listen proxy.trusted", "https://cloud.foyer-server.org/", "https://attic.local/", []string{"listens at 127.0.0.1:8888", "router is not asked"}},
		{"from behind it", proxied, Values{"proxy.listen": ""}, 90, "proxy.listen mdns proxy.trusted", "", "", []string{"listens on ports 80 and 443"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, wanted, err := PlanChange(c.from, c.given)
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, d := range p.Differs {
				keys = append(keys, d.Key)
				if d.Title.IsZero() || d.Before.IsZero() || d.After.IsZero() || d.Before == d.After {
					t.Errorf("%s: from %q to %q", d.Key, d.Before.EN, d.After.EN)
				}
			}
			if got := strings.Join(keys, " "); got != c.differs || p.Seconds != c.seconds {
				t.Errorf("%q differ, %d seconds", got, p.Seconds)
			}
			if len(p.Through) == 0 || c.through != "" && p.Through[0] != c.through || c.gone != "" && !slices.Contains(p.Gone, c.gone) || c.gone == "" && len(p.Gone) > 0 {
				t.Errorf("through %q, gone %q", p.Through, p.Gone)
			}
			if !slices.Equal(p.Addresses, site.Of(wanted).Addresses()) {
				t.Errorf("addresses %q", p.Addresses)
			}
			var steps strings.Builder
			for _, s := range p.Steps {
				steps.WriteString(s.EN + "\n")
				if s.FR == "" || s.FR == s.EN {
					t.Errorf("in one language only: %q", s.EN)
				}
			}
			for _, says := range c.says {
				if !strings.Contains(steps.String(), says) {
					t.Errorf("it does not say %q:\n%s", says, steps.String())
				}
			}
			if len(c.says) == 0 && len(p.Steps) > 0 {
				t.Errorf("something is done: %q", p.Steps)
			}
		})
	}
	// What is wrong is told of each answer.
	_, _, err := PlanChange(home, Values{"where": WhereReachable, "http_port": "0"})
	if e := hint.Find(err); e == nil || e.Code != "settings-malformed" || strings.Count(e.What.EN, "\n") != 1 || !strings.Contains(e.What.EN, "Web address: ") {
		t.Errorf("two wrong answers: %v", err)
	}
}
