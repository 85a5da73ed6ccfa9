package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/charmbracelet/x/term"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/reach"
	"github.com/foyer-server/foyer/supervisor/router"
	"github.com/foyer-server/foyer/tui"
)

// wizard asks a person, on screens or in lines, and has the install done by a
// process of its own, which goes on when the terminal goes away. Coming back shows
// the install that is at work, or takes up the answers given so far.
func (a *app) wizard(ctx context.Context, f installFlags, answers *installer.Answers) error {
	w := &worker{app: a, flags: f, dir: workerDir}
	kept := a.keptAnswers()
	values := kept
	if a.langGiven {
		delete(values, "language")
	}
	for k, v := range answers.Given() { // said now wins over said before
		if values == nil {
			values = installer.Values{}
		}
		values[k] = v
	}
	if l, ok := hint.ParseLang(values["language"]); ok {
		a.lang = l
	}
	_, sure := hint.Locale(a.getenv)
	ask := &tui.Wizard{
		Term: a.term(), LangSure: sure || values["language"] != "" || a.langGiven,
		Questions: installer.Questions(), Values: values, Resumed: len(kept) > 0, Running: installing(),
		Look: func(ctx context.Context) tui.Sight {
			s := look(ctx)
			if rec := cutOffInstall(w.dir, installing()); rec != nil {
				s.Notes = append([]hint.Text{hint.T("The last installation was cut off %s; it can be begun again.", "La dernière installation a été interrompue %s ; elle peut être recommencée.", rec.where())}, s.Notes...)
			}
			return s
		},
		Remember: a.keepAnswers,
		Plan:     func(ctx context.Context, v installer.Values) (tui.Plan, error) { return a.planFor(ctx, f, v) },
		Apply:    w.apply,
		Claimed:  func(ctx context.Context) bool { claimed, _ := a.claimedNow(ctx); return claimed },
	}
	run := ask.Screens
	if !a.onTerminal() {
		run = ask.Lines
	}
	_, err := run(ctx)
	switch {
	case errors.Is(err, tui.ErrCancelled):
		return cancelled()
	case errors.Is(err, tui.ErrLeft):
		a.say(hint.T("The installation goes on by itself; `sudo foyer` shows it.", "L'installation continue toute seule ; `sudo foyer` la montre."))
		return nil
	case err != nil:
		return err
	}
	a.forgetAnswers()
	return a.showResult(w.result.Result, installer.Plan{Changes: w.result.Plan})
}

// term is the terminal this command runs at.
func (a *app) term() tui.Term {
	return tui.Term{In: a.in, Out: a.screen, Environ: a.environ, Lang: a.lang, UTF8: a.utf8()}
}

// look looks at the machine before the first question: what it sees answers some
// of them.
func look(ctx context.Context) tui.Sight {
	s := tui.Sight{Values: installer.Values{}}
	for _, r := range preflight(ctx, config.SystemData) {
		if r.Severity >= health.Warning {
			s.Notes = append(s.Notes, r.What, r.Do)
		}
	}
	if host.StorageOf(config.SystemData).Card {
		s.Notes = append(s.Notes, hint.T("Memory cards wear out: a USB disk for the data lasts longer; `Change something` is where it is chosen.", "Les cartes mémoire s'usent : un disque USB pour les données dure plus longtemps ; il se choisit dans « Changer quelque chose »."))
	}
	if ip := publicAddress(); ip.IsValid() {
		s.Values["where"] = installer.WhereServer
	}
	for _, port := range []int{80, 443} {
		o, taken, err := host.PortOwner(port)
		if err != nil || !taken || !slices.Contains(proxies, o.Name) {
			continue
		}
		s.Values["proxy.listen"], s.Values["proxy.trusted"] = "127.0.0.1:8888", "127.0.0.1 ::1"
		s.Notes = append(s.Notes, hint.T("%s already answers the web on this machine: Foyer stands behind it, and nothing of it is changed.", "%s répond déjà au web sur cette machine : Foyer se place derrière, sans rien y changer.", o.Name))
		break
	}
	return s
}

// proxies are the programs, as the system names them, that Foyer can stand behind.
var proxies = []string{"nginx", "apache2", "httpd", "caddy", "haproxy", "traefik"}

// publicAddress is an IPv4 address of this machine that everybody can reach; the
// zero value when it has none, as at home.
func publicAddress() netip.Addr {
	ips, _ := host.Addresses() // without any: none
	for _, ip := range ips {
		if ip.Is4() && netname.Everywhere(ip) {
			return ip
		}
	}
	return netip.Addr{}
}

// settle are the answers an install with these values has.
func (a *app) settle(ctx context.Context, f installFlags, v installer.Values) (*installer.Answers, error) {
	if v.Get("where") == installer.WhereServer && v.Get("addresses") == "" && v.Get("proxy.listen") == "" {
		if ip := publicAddress(); ip.IsValid() {
			v["addresses"] = ip.String()
		}
	}
	if v["language"] == "" {
		v["language"] = string(a.lang)
	}
	for k, text := range f.given {
		if _, ok := v[k]; !ok {
			v[k] = text
		}
	}
	environ := a.environ
	if f.password != "" { // wherever it was, it is not read again
		environ = append(slices.Clone(environ), "FOYER_OWNER_PASSWORD="+f.password)
	}
	return a.loadAnswers(ctx, f.answers, f.stdin(), environ, v)
}

// planFor is the plan with these answers, as people read it.
func (a *app) planFor(ctx context.Context, f installFlags, v installer.Values) (tui.Plan, error) {
	answers, err := a.settle(ctx, f, v)
	if err != nil {
		return tui.Plan{}, err
	}
	in, err := a.installer(answers, f.replaceEdited)
	if err != nil {
		return tui.Plan{}, err
	}
	plan, err := in.Plan(ctx)
	if err != nil {
		return tui.Plan{}, err
	}
	out := tui.Plan{Notes: plan.Notes}
	set, err := answers.Settings()
	if err != nil {
		return tui.Plan{}, err
	}
	out.Notes = append(out.Notes, a.outlook(ctx, set)...)
	out.Summary = summary(set, in.Addresses())
	for _, c := range plan.Changes {
		out.Changes = append(out.Changes, tui.Change{Mark: c.Op, What: c.KindText().In(a.lang) + " " + c.What, Why: c.Why})
	}
	return out, nil
}

// summary is what a person gets with settings s.
func summary(s *config.Settings, addresses []string) []hint.Text {
	place := site.Of(s)
	var out []hint.Text
	if len(addresses) > 0 {
		out = append(out, hint.T("Your server answers at %s", "Votre serveur répond à %s", addresses[0]))
	}
	switch {
	case place.BehindProxy():
		out = append(out, hint.T("Your web server sends it visitors at %s; `foyer proxy` prints what to add there.", "Votre serveur web lui envoie les visiteurs à %s ; `foyer proxy` écrit ce qu'il faut y ajouter.", s.Proxy.Listen))
	case place.EverybodyTrusts():
		out = append(out, hint.T("It gets a certificate that every phone and computer trusts, and renews it.", "Il obtient un certificat reconnu de tous les téléphones et ordinateurs, et le renouvelle."))
	case s.Certificates.CertFile != "":
		out = append(out, hint.T("It shows the certificate you have, %s, and reads it again when it changes.", "Il présente le certificat que vous avez, %s, et le relit quand il change.", s.Certificates.CertFile))
	default:
		out = append(out, hint.T("Its connections are encrypted; each phone learns once to trust it.", "Ses connexions sont chiffrées ; chaque téléphone apprend une fois à lui faire confiance."))
	}
	if len(place.RouterWays()) > 0 {
		out = append(out, hint.T("The router is asked to let visitors in on ports 443 and 80, and `foyer` tells whether it does.", "La box est priée de laisser entrer les visiteurs par les ports 443 et 80, et `foyer` dit si elle le fait."))
	}
	if place.KeepsNames() {
		out = append(out, hint.T("The name follows when the address of your connection changes.", "Le nom suit quand l'adresse de votre connexion change."))
	}
	return append(out,
		hint.T("Data in %s; it starts by itself, watches and repairs itself.", "Données dans %s ; il démarre tout seul, se surveille et se répare.", s.Data),
		hint.T("Only whoever holds the code shown at the end can become its owner.", "Seul qui tient le code affiché à la fin peut en devenir propriétaire."))
}

// outlook is what will keep visitors out with settings s, as far as it can be seen
// before anything is installed; it takes ten seconds at most, and none where nobody
// is to come from outside.
func (a *app) outlook(ctx context.Context, s *config.Settings) []hint.Text {
	where := a.situation(s)
	if len(where.Names) == 0 && where.Peer == "" {
		return nil
	}
	where.Expect, where.Router = nil, router.Look
	d := reach.Examine(ctx, where)
	var out []hint.Text
	for _, t := range []hint.Text{d.What, d.Do} {
		if d.Severity >= health.Warning && !t.IsZero() {
			out = append(out, t)
		}
	}
	return out
}

// keptPath is where the answers of a wizard that was cut short are.
func keptPath() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "foyer", "wizard.json")
}

func (a *app) keptAnswers() installer.Values {
	var v installer.Values
	data, err := os.ReadFile(keptPath())
	if err != nil || json.Unmarshal(data, &v) != nil {
		return nil
	}
	for k := range v { // of another version, or by another hand
		if !slices.ContainsFunc(installer.Questions(), func(q installer.Question) bool { return q.Key == k }) {
			delete(v, k)
		}
	}
	return v
}

// keepAnswers keeps what is no secret. Where that cannot be done it is asked again.
func (a *app) keepAnswers(v installer.Values) {
	path := keptPath()
	for _, q := range installer.Questions() {
		if q.Secret {
			delete(v, q.Key)
		}
	}
	data, err := json.Marshal(v)
	if err != nil || path == "" || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	atomicfile.Write(path, data, 0o600) //nolint:errcheck // it is a convenience
}

func (a *app) forgetAnswers() {
	path := keptPath()
	if path != "" && os.Remove(path) == nil {
		os.Remove(filepath.Dir(path)) //nolint:errcheck // if it is empty
	}
}

// ttyInstead gives a command whose standard input is a pipe, as in `curl … | sh`,
// the terminal the person sits at.
func (a *app) ttyInstead() {
	in, ok := a.in.(*os.File)
	if !ok || term.IsTerminal(in.Fd()) || !isTerminal(a.screen) {
		return
	}
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		a.in = tty
	}
}
