package installer

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/site"
)

// How long somebody has to confirm a change, in seconds.
const (
	secondsLocked = 90  // they may be locked out: what they use today goes away
	secondsOpen   = 600 // all that works today goes on working
)

// ChangeQuestions are the questions that may be answered otherwise on a machine with the
// settings today, as they stand with the answers given so far: in the order of asking, with
// what is wrong with them. What is not given is as today, or follows from what is given, as
// the service that answers for a name; what is given counts as it is, an empty text, too.
// An answer to what is not asked is an error.
func ChangeQuestions(today *config.Settings, given Values) ([]report.Question, error) {
	c, err := choose(today, given)
	if err != nil {
		return nil, err
	}
	wrong := c.wrong()
	var out []report.Question
	for _, q := range Changeable() {
		if !q.fits(c.now) {
			continue
		}
		asked := report.Question{
			Key: q.Key, Title: q.Title, Help: q.Help, Value: c.now.Get(q.Key), Secret: q.Secret, Empty: q.Empty,
			Needed: q.Needed != nil && q.Needed(c.now), OnWay: q.When != nil && q.When(c.now), Wrong: wrong[q.Key],
		}
		for _, o := range q.Options {
			asked.Options = append(asked.Options, report.Option(o))
		}
		if asked.Secret {
			asked.Set = asked.Value != "" && strings.TrimSpace(given[q.Key]) == ""
			asked.Value, asked.Needed = "", asked.Needed && !asked.Set
		}
		if len(q.Options) > 0 && !slices.ContainsFunc(q.Options, func(o Option) bool { return o.Value == asked.Value }) { // as somebody has set it
			asked.Options = append(asked.Options, report.Option{Value: asked.Value, Title: q.shown(c.now)})
		}
		out = append(out, asked)
	}
	return out, nil
}

// shown is the answer as a person reads it, where the settings hold what no question offers, too.
func (q Question) shown(v Values) hint.Text {
	if q.Key == "language" && v.Get(q.Key) == "" {
		return hint.T("each person's own", "celle de chacun")
	}
	return q.Shown(v)
}

// PlanChange tells what other answers come to on a machine with the settings today, and the
// settings that it then has. It changes nothing. The error says what is wrong with the
// answers, each in a line.
func PlanChange(today *config.Settings, given Values) (report.ChangePlan, *config.Settings, error) {
	c, err := choose(today, given)
	if err != nil {
		return report.ChangePlan{}, nil, err
	}
	var problems []*hint.Error
	wrong := c.wrong()
	for _, q := range Changeable() {
		w := wrong[q.Key]
		if w.IsZero() && q.fits(c.now) {
			w = q.unfit(c.now, c.now.Get(q.Key))
		}
		if !w.IsZero() {
			problems = append(problems, hint.New("settings-malformed", hint.T("%s %s", "%s %s", hint.Label(q.called()), w), hint.T("Nothing was changed.", "Rien n'a été changé."),
				hint.T("Give another answer to that; on the command line that is %s=….", "Donnez-y une autre réponse ; sur la ligne de commande, c'est %s=….", q.Key)).Exits(hint.ExitUsage))
		}
	}
	if len(problems) > 0 {
		return report.ChangePlan{}, nil, config.All(problems)
	}
	wanted, err := c.settings()
	if err == nil {
		err = wanted.Validate()
	}
	if err != nil {
		return report.ChangePlan{}, nil, err
	}
	before, after := site.Of(today).Addresses(), site.Of(wanted).Addresses()
	p := report.ChangePlan{
		Differs: c.differs(wanted), Steps: []hint.Text{}, Addresses: append([]string{}, after...),
		Gone: without(before, after), Through: without(after, before), Seconds: secondsOpen,
	}
	if len(p.Through) == 0 {
		p.Through = p.Addresses
	}
	if len(p.Differs) == 0 {
		return p, wanted, nil
	}
	if len(p.Gone) > 0 || listens(today) != listens(wanted) {
		p.Seconds = secondsLocked
	}
	p.Steps = stepsTo(today, wanted)
	p.Notes = notesOn(today, wanted, p.Gone)
	return p, wanted, nil
}

// without are those of all that are not among others.
func without(all, others []string) []string {
	var out []string
	for _, a := range all {
		if !slices.Contains(others, a) {
			out = append(out, a)
		}
	}
	return out
}

// editsTo are what is to be changed in a settings file.
func editsTo(today, wanted *config.Settings) []config.Edit {
	var out []config.Edit
	for _, key := range config.Differ(today, wanted) {
		text, _ := wanted.Get(key)
		out = append(out, config.Edit{Key: key, Value: text, Unset: text == defaultOf(key)})
	}
	return out
}

// differs tells of each setting that changes, as people read it; nothing, where the settings
// stay what they are.
func (c *choice) differs(wanted *config.Settings) []report.Difference {
	out := []report.Difference{}
	changed := config.Differ(c.today, wanted)
	if len(changed) == 0 {
		return out
	}
	before, after := c.today, wanted
	if was, is := whereOf(before), whereOf(after); was != is {
		q := Changeable()[0]
		out = append(out, report.Difference{Key: q.Key, Title: q.called(), Before: q.Shown(Values{"where": was}), After: q.Shown(Values{"where": is})})
	}
	for _, q := range Changeable() {
		if !slices.Contains(changed, q.Key) {
			continue
		}
		was, _ := before.Get(q.Key)
		is, _ := after.Get(q.Key)
		d := report.Difference{Key: q.Key, Title: q.called(), Before: q.shown(Values{q.Key: was}), After: q.shown(Values{q.Key: is})}
		if q.Secret && was != "" && is != "" {
			d.Before, d.After = hint.T("as it is", "comme maintenant"), hint.T("another one", "un autre")
		}
		out = append(out, d)
	}
	for _, key := range changed { // what follows from these
		title, ok := followerTitles[key]
		if !ok {
			continue
		}
		was, _ := before.Get(key)
		is, _ := after.Get(key)
		out = append(out, report.Difference{Key: key, Title: title, Before: plain(was), After: plain(is)})
	}
	return out
}

var followerTitles = map[string]hint.Text{
	"mdns":          hint.T("Announced in the home network", "Annoncé dans le réseau de la maison"),
	"dyndns":        hint.T("The name follows the address of the connection", "Le nom suit l'adresse de la connexion"),
	"proxy.trusted": hint.T("Web servers whose word is taken for who a visitor is", "Serveurs web que l'on croit sur l'identité d'un visiteur"),
}

func plain(value string) hint.Text {
	switch value {
	case "on", "router":
		return hint.T("yes", "oui")
	case "off":
		return hint.T("no", "non")
	case "":
		return hint.T("none", "aucun")
	}
	return hint.Verbatim(value)
}

// listens is where the service listens, as a text to compare.
func listens(s *config.Settings) string {
	if site.Of(s).BehindProxy() {
		return s.Proxy.Listen
	}
	return fmt.Sprint(s.HTTPPort, " ", s.HTTPSPort)
}

// stepsTo says what is done, each in a sentence.
func stepsTo(today, wanted *config.Settings) []hint.Text {
	n := len(config.Differ(today, wanted))
	out := []hint.Text{hint.T("%s is changed: %d of its settings, and nothing else in it.", "%s est modifié : %d de ses réglages, et rien d'autre.", config.SystemFile, n)}
	if n == 1 {
		out[0] = hint.T("%s is changed: one of its settings, and nothing else in it.", "%s est modifié : un de ses réglages, et rien d'autre.", config.SystemFile)
	}
	switch moved := listens(today) != listens(wanted); {
	case moved && site.Of(wanted).BehindProxy():
		out = append(out, hint.T("The service listens at %s, for your web server alone.", "Le service écoute à %s, pour votre seul serveur web.", wanted.Proxy.Listen))
	case moved:
		out = append(out, hint.T("The service listens on ports %d and %d.", "Le service écoute sur les ports %d et %d.", wanted.HTTPPort, wanted.HTTPSPort))
	}
	out = append(out, hint.T("The service is restarted; visitors wait for a moment.", "Le service est redémarré ; les visiteurs attendent un instant."))
	opened, closed := without(ports(wanted), ports(today)), without(ports(today), stillWanted(wanted))
	switch {
	case len(opened) > 0 && len(closed) > 0:
		out = append(out, hint.T("Where Foyer has opened this machine's firewall, it lets visitors in on port %s, and no more on port %s.", "Là où Foyer a ouvert le pare-feu de la machine, il laisse entrer les visiteurs par le port %s, et plus par le port %s.", strings.Join(opened, ", "), strings.Join(closed, ", ")))
	case len(opened) > 0:
		out = append(out, hint.T("Where Foyer has opened this machine's firewall, it lets visitors in on port %s.", "Là où Foyer a ouvert le pare-feu de la machine, il laisse entrer les visiteurs par le port %s.", strings.Join(opened, ", ")))
	case len(closed) > 0:
		out = append(out, hint.T("Where Foyer has opened this machine's firewall, it lets nobody in any more on port %s.", "Là où Foyer a ouvert le pare-feu de la machine, il ne laisse plus entrer personne par le port %s.", strings.Join(closed, ", ")))
	}
	switch {
	case asked(wanted) && !asked(today):
		out = append(out, hint.T("The router is asked to let visitors in on ports 443 and 80.", "La box est priée de laisser entrer les visiteurs par les ports 443 et 80."))
	case !asked(wanted) && asked(today):
		out = append(out, hint.T("The router is not asked any more to let visitors in.", "La box n'est plus priée de laisser entrer les visiteurs."))
	}
	if named := namedAtHome(wanted); named != namedAtHome(today) {
		if named != "" {
			out = append(out, hint.T("In the home network it is found by the name %s.", "Dans le réseau de la maison, il se trouve par le nom %s.", named))
		} else {
			out = append(out, hint.T("In the home network it is not announced any more as %s.", "Dans le réseau de la maison, il n'est plus annoncé sous le nom %s.", namedAtHome(today)))
		}
	}
	for _, name := range without(certified(wanted), certified(today)) {
		out = append(out, hint.T("A certificate that everybody trusts is ordered for %s.", "Un certificat reconnu de tous est demandé pour %s.", name))
	}
	return out
}

// asked reports whether the router is asked to let visitors in.
func asked(s *config.Settings) bool { return len(site.Of(s).RouterWays()) > 0 }

// ports are those of the machine's own by which everybody comes in.
func ports(s *config.Settings) (out []string) {
	for _, p := range site.Of(s).PublicPorts() {
		out = append(out, fmt.Sprint(p))
	}
	return out
}

// stillWanted are the ports that stay open in the firewall.
func stillWanted(s *config.Settings) (out []string) {
	for _, p := range openPorts(s) {
		out = append(out, fmt.Sprint(p))
	}
	return out
}

// namedAtHome is the name by which a server is found at home; "" = none.
func namedAtHome(s *config.Settings) string {
	if !site.Of(s).Announced() {
		return ""
	}
	return site.Of(s).LocalName()
}

// certified are the names that get a certificate of a public authority.
func certified(s *config.Settings) []string {
	if site.Of(s).Authority() != site.LetsEncrypt {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Addresses), func(a string) bool { return !netname.Public(a) })
}

// notesOn are what a person should know of, and the change does not do.
func notesOn(today, wanted *config.Settings, gone []string) []hint.Text {
	var out []hint.Text
	switch {
	case wanted.Proxy.Listen != today.Proxy.Listen && site.Of(wanted).BehindProxy():
		out = append(out, hint.T("Your web server has to send visitors to %s: `foyer proxy nginx`, or apache, caddy, haproxy, traefik, prints what to add there.", "Votre serveur web doit envoyer les visiteurs à %s : `foyer proxy nginx`, ou apache, caddy, haproxy, traefik, écrit ce qu'il faut y ajouter.", wanted.Proxy.Listen))
	case !site.Of(wanted).BehindProxy() && site.Of(today).BehindProxy():
		out = append(out, hint.T("Your web server has to leave ports %d and %d to Foyer. Where a firewall guards this machine that Foyer has not opened, let visitors in on them.", "Votre serveur web doit laisser les ports %d et %d à Foyer. Si un pare-feu que Foyer n'a pas ouvert protège cette machine, laissez-y entrer les visiteurs.", wanted.HTTPPort, wanted.HTTPSPort))
	case whereOf(wanted) == WhereReachable && !asked(wanted) && (whereOf(today) != WhereReachable || asked(today)):
		out = append(out, hint.T("Ports 80 and 443 must be forwarded to this machine by hand, on the router.", "Les ports 80 et 443 doivent être redirigés vers cette machine à la main, sur la box."))
	}
	lost := map[string]bool{}
	for _, a := range gone {
		if u, err := url.Parse(a); err == nil && net.ParseIP(u.Hostname()) == nil && !answersAt(wanted, u.Hostname()) {
			lost[u.Hostname()] = true
		}
	}
	if names := slices.Sorted(maps.Keys(lost)); len(names) > 0 {
		out = append(out, hint.T("Apps that use %s have to be told the new address. Passkeys made there work there alone: people sign in with their password once, and add new ones.", "Il faut donner la nouvelle adresse aux applications qui utilisent %s. Les clés d'accès créées là ne valent que là : chacun se connecte une fois par son mot de passe, puis en ajoute.", strings.Join(names, ", ")))
	}
	return out
}

// answersAt reports whether a server answers by a name, be it on another port.
func answersAt(s *config.Settings, host string) bool {
	return slices.ContainsFunc(site.Of(s).Addresses(), func(a string) bool {
		u, err := url.Parse(a)
		return err == nil && u.Hostname() == host
	})
}
