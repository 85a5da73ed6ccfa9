package installer

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/internal/site"
)

// Answers that were given at an install may be given otherwise later. What was answered is
// not kept: it is told from the settings as they are, so that those who edit the file and
// those who answer questions see the same. What comes of other answers is what an install
// with them would have written, but for what somebody has set otherwise.

// notChanged are questions of an install that are not asked again: data do not move by a
// setting, and the firewall is looked after where the install opened it.
var notChanged = []string{"data", "firewall"}

// Changeable are the questions that may be answered otherwise on a machine that has an
// install.
func Changeable() []Question {
	return slices.DeleteFunc(Questions(), func(q Question) bool { return slices.Contains(notChanged, q.Key) })
}

// Today are the answers an install would need for the settings s. Where the server lives
// is inferred: where the router is asked, at home and reachable; behind a proxy, or without
// a name in the home network, on a server; with a public name, at home and reachable.
func Today(s *config.Settings) Values {
	v := Values{"where": whereOf(s)}
	for _, q := range Changeable() {
		if q.Key != "where" {
			v[q.Key], _ = s.Get(q.Key)
		}
	}
	return v.fitting()
}

func whereOf(s *config.Settings) string {
	switch {
	case len(site.Of(s).RouterWays()) > 0:
		return WhereReachable
	case !site.Of(s).Announced():
		return WhereServer
	case slices.ContainsFunc(s.Addresses, netname.Public):
		return WhereReachable
	}
	return WhereHome
}

// fitting are the answers to questions that belong to them.
func (v Values) fitting() Values {
	v = maps.Clone(v)
	for before := -1; len(v) != before; { // without one answer another one may not belong either
		before = len(v)
		for _, q := range Changeable() {
			if !q.fits(v) {
				delete(v, q.Key)
			}
		}
	}
	return v
}

func (q Question) fits(v Values) bool { return q.Fits == nil || q.Fits(v) }

// Otherwise are all the answers on a machine with the settings today, once those given are
// given: with what follows from them, and without what does not belong to them. An answer to
// what is not asked is an error.
func Otherwise(today *config.Settings, given Values) (Values, error) {
	c, err := choose(today, given)
	if err != nil {
		return nil, err
	}
	return c.now, nil
}

// choice is what other answers make of settings.
type choice struct {
	today *config.Settings
	given Values // the other answers
	was   Values // today's answers
	now   Values // all of them, with what follows from those given
}

// choose gives other answers. One that does not belong to the others is nothing; a secret
// that is empty stays as it is. The error is of answers to what is not asked.
func choose(today *config.Settings, given Values) (*choice, error) {
	c := &choice{today: today, given: given, was: Today(today)}
	var names []string
	now := maps.Clone(c.was)
	for _, q := range Changeable() {
		names = append(names, q.Key)
		text, ok := given[q.Key]
		if text = strings.TrimSpace(text); !ok || q.Secret && text == "" {
			continue
		}
		differs := text != c.was.Get(q.Key)
		if now[q.Key] = text; differs {
			now = now.Complete(q.Key)
		}
	}
	var wrong []*hint.Error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, key) {
			wrong = append(wrong, hint.New("settings-malformed", hint.T("%q cannot be changed in this way.", "%q ne se change pas ainsi.", key), hint.T("Nothing was changed.", "Rien n'a été changé."),
				hint.T("What can be is %s.", "Ce qui le peut : %s.", strings.Join(names, ", "))).Exits(hint.ExitUsage))
		}
	}
	if strings.TrimSpace(given["dns.credentials"]) == "" && now.Get("dns.provider") != c.was.Get("dns.provider") {
		delete(now, "dns.credentials") // what one service knows us by is told to no other one
	}
	c.now = now.fitting()
	return c, config.All(wrong)
}

// settings are what comes of it. The error tells of answers that are not of their kind;
// whether the settings are right together is for Validate to say.
func (c *choice) settings() (*config.Settings, error) {
	s := c.today.Clone()
	var wrong []*hint.Error
	set := func(key, text string) {
		if now, _ := s.Get(key); now == text { // words that hold blanks stay as they are
			return
		}
		if err := s.Set(key, text, ""); err != nil {
			wrong = append(wrong, hint.Find(err))
		}
	}
	kept := map[string]bool{}
	for _, q := range Changeable() {
		text, answered := c.now[q.Key]
		_, before := c.was[q.Key]
		switch {
		case q.Key == "where":
			if !slices.ContainsFunc(q.Options, func(o Option) bool { return o.Value == text }) {
				wrong = append(wrong, config.Malformed("", 0, "where", hint.T("home, reachable or server", "home, reachable ou server")))
			}
		case answered:
			set(q.Key, text)
			kept[q.Key] = true
		case before, q.fits(c.now):
			set(q.Key, defaultOf(q.Key))
		default: // it was none of the answers, and is none now
			kept[q.Key] = true
		}
	}
	for _, key := range followers {
		if _, asked := kept[key]; asked || key == "router" {
			continue
		}
		if kept[key] = !c.follows(key); !kept[key] {
			set(key, defaultOf(key))
		}
	}
	if err := follow(c.now.Get("where"), s, func(key string) bool { return kept[key] }); err != nil {
		wrong = append(wrong, hint.Find(err))
	}
	if s.DNS.Provider == "" || s.DynDNS == "router" && len(site.Of(s).RouterWays()) == 0 { // nobody can keep the name any more
		set("dyndns", "off")
	}
	return s, config.All(wrong)
}

// follows reports whether a setting is what today's answers make of it, and nothing that
// somebody has set otherwise.
func (c *choice) follows(key string) bool {
	s := c.today.Clone()
	if s.Set(key, defaultOf(key), "") != nil || follow(c.was.Get("where"), s, func(k string) bool { return k != key }) != nil {
		return false
	}
	is, _ := c.today.Get(key)
	would, _ := s.Get(key)
	return is == would
}

func defaultOf(key string) string {
	text, _ := config.Default().Get(key)
	return text
}

// followers are the settings that follow from where a server lives and from others.
var followers = []string{"mdns", "router", "dyndns", "proxy.trusted"}

// follow gives followers what follows; those that are kept stay.
func follow(where string, s *config.Settings, kept func(key string) bool) error {
	imply := func(key, text string) error {
		if kept(key) {
			return nil
		}
		return s.Set(key, text, "")
	}
	switch {
	case site.Of(s).BehindProxy(): // the names and the router are the proxy's
		if behindOurOwn(s) {
			return imply("proxy.trusted", "127.0.0.1 ::1")
		}
	case where == WhereReachable:
		if err := imply("router", "map"); err != nil {
			return err
		}
		if s.DNS.Provider != "" && len(site.Of(s).RouterWays()) > 0 {
			return imply("dyndns", "router")
		}
	case where == WhereServer:
		return imply("mdns", "off") // there is no neighbourhood to be found in
	}
	return nil
}

// behindOurOwn reports whether the proxy before the server is on this machine.
func behindOurOwn(s *config.Settings) bool {
	at, err := netip.ParseAddrPort(s.Proxy.Listen)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// wrong says of each question what is wrong with the answer given, or with today's beside
// the others; answers that are still needed are not there.
func (c *choice) wrong() map[string]hint.Text {
	out := map[string]hint.Text{}
	good := Values{}
	for _, q := range Changeable() {
		text, given := c.given[q.Key]
		if text = strings.TrimSpace(text); !q.fits(c.now) && q.Key != "where" {
			continue
		}
		if !given || q.Secret && text == "" {
			if is := c.now[q.Key]; is != "" {
				if w := q.unfit(c.now, is); !w.IsZero() {
					out[q.Key] = w
				}
			}
			continue
		}
		if w := q.unfit(c.now, text); !w.IsZero() {
			out[q.Key] = w
			continue
		}
		good[q.Key] = text
		if err := c.try(good); err != nil {
			out[q.Key] = whatFits(err)
			delete(good, q.Key)
		}
	}
	if len(out) == 0 {
		return nil
	}
	if c.try(c.given) == nil { // each is wrong beside what was before, and all are right together
		maps.DeleteFunc(out, func(key string, _ hint.Text) bool { return !c.alone(key) })
	}
	return out
}

// alone reports whether an answer is wrong whatever the others are.
func (c *choice) alone(key string) bool {
	for _, q := range Changeable() {
		if q.Key == key {
			return !q.unfit(c.now, c.now.Get(key)).IsZero()
		}
	}
	return false
}

// try reports whether settings with these answers are right.
func (c *choice) try(given Values) error {
	other, err := choose(c.today, given)
	if err != nil {
		return err
	}
	s, err := other.settings()
	if err != nil {
		return err
	}
	return s.Validate()
}
