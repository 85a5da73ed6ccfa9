package osupdate

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/pause"
)

// RepairConfig says what Repair works on. All fields are needed unless said otherwise.
type RepairConfig struct {
	Root   string      // what every path stands below; "" = "/"
	Runner host.Runner // runs dpkg and apt-get as root, and lets them end whatever becomes of this process
	Say    func(hint.Text)
	Wait   time.Duration // how long others may hold dpkg's lock; 0 = 10 min
	Pause  time.Duration // between two tries to get it; 0 = 5 s
}

// Repaired is what Repair has come to.
type Repaired struct {
	Done []string `json:"done"` // packages that are wholly installed, or gone, now
	Left []string `json:"left"` // those that still are not
}

// finish are the options of dpkg with which nobody is asked: files of settings that somebody
// has changed stay as they are.
var finish = []string{"--force-confdef", "--force-confold", "--configure", "-a"}

// fetch are those of apt-get, which gets what dpkg cannot go on without, removes nothing, and
// waits for the lock itself. Packages that dpkg wants installed again it passes over unless
// they are named.
func fetch(all []unsettled) []string {
	args := []string{"-y", "-q", "--no-remove", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "--fix-broken", "--reinstall", "install", "--"}
	for _, u := range all {
		if (u.Reinstall || u.State == "half-installed") && nameRE.MatchString(u.Name) {
			args = append(args, u.Name)
		}
	}
	return args
}

// nameRE are names of packages that mean nothing else to apt-get.
var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*[a-z0-9]$`)

// Repair has dpkg finish what it was left half-way with. What needs to be fetched again is, from
// where the system gets its packages anyway. Nothing is removed, and nothing else upgraded. The
// error has the code packages-busy, or packages-broken: what is left then only another
// version of the package, or a person, can mend.
func Repair(ctx context.Context, cfg RepairConfig) (Repaired, error) {
	root := tree(cmp.Or(cfg.Root, "/"))
	before := readPackages(root)
	if len(before.unsettled) == 0 && !root.interrupted() {
		cfg.Say(hint.T("No package was left half-way.", "Aucun paquet n'est resté à moitié installé."))
		return Repaired{Done: []string{}, Left: []string{}}, nil
	}
	for _, u := range before.unsettled[:min(fewNames, len(before.unsettled))] {
		cfg.Say(hint.T("%s %s is %s.", "%s %s : %s.", u.Name, u.Version, u.State))
	}
	err := cfg.configure(ctx)
	if err != nil && ctx.Err() != nil || isBusy(err) {
		return Repaired{}, cmp.Or(ctx.Err(), err)
	}
	if after := readPackages(root); slices.ContainsFunc(after.unsettled, lacks) {
		cfg.Say(hint.T("Something has to be fetched again.", "Il faut retélécharger quelque chose."))
		if _, e := cfg.Runner.Run(ctx, "apt-get", fetch(after.unsettled)...); e != nil {
			err = e
		}
	}
	after := readPackages(root)
	out := Repaired{Done: []string{}, Left: named(after.unsettled)}
	for _, name := range named(before.unsettled) {
		if !slices.Contains(out.Left, name) {
			out.Done = append(out.Done, name)
		}
	}
	if len(out.Done) > 0 {
		cfg.Say(hint.T("Finished: %s.", "Terminé : %s.", few(out.Done)))
	}
	if len(out.Left) > 0 {
		return out, stillBroken(after.unsettled[0], err)
	}
	if root.interrupted() {
		return out, err
	}
	return out, nil // whatever else they complain of
}

// lacks reports whether a package misses something that dpkg does not have.
func lacks(u unsettled) bool {
	return u.Reinstall || u.State == "half-installed" || u.State == "unpacked"
}

// interrupted reports whether dpkg has changes to its list that are not in it yet.
func (t tree) interrupted() bool { return len(t.names(updatesDir)) > 0 }

// named are the names of packages, each once.
func named(all []unsettled) (out []string) {
	out = []string{}
	for _, u := range all {
		if !slices.Contains(out, u.Name) && len(out) < mostNamed {
			out = append(out, u.Name)
		}
	}
	return out
}

// configure runs dpkg once nobody else does.
func (cfg RepairConfig) configure(ctx context.Context) error {
	waits := false
	for end := time.Now().Add(cmp.Or(cfg.Wait, 10*time.Minute)); ; {
		_, err := cfg.Runner.Run(ctx, "dpkg", finish...)
		if err == nil || !locked(err) {
			return err
		}
		if !waits {
			waits = true
			cfg.Say(hint.T("Another program installs packages at this moment; that is waited for.", "Un autre programme installe des paquets en ce moment ; on l'attend."))
		}
		if time.Now().After(end) || !pause.For(ctx, cmp.Or(cfg.Pause, 5*time.Second)) {
			return hint.New("packages-busy", hint.T("Another program has been installing packages all the time.", "Un autre programme installe des paquets depuis tout ce temps."),
				hint.T("Nothing was changed.", "Rien n'a été changé."), hint.T("Try again when it is done.", "Réessayez quand il aura fini.")).Because(err)
		}
	}
}

func isBusy(err error) bool {
	e := hint.Find(err)
	return e != nil && e.Code == "packages-busy"
}

// lockedRE is what dpkg says when it may not begin, in its versions of the last ten years.
var lockedRE = regexp.MustCompile(`(lock|area) (is|was) locked by another process`)

func locked(err error) bool { return lockedRE.MatchString(err.Error()) }

// reasonRE is how dpkg names what failed.
var reasonRE = regexp.MustCompile(`(?m)^ *(installed \S+ package \S+ script subprocess returned error exit status \d+|.*dependency problems.*|.*(Unable to fetch|Failed to fetch|can't find an archive).*)$`)

// stillBroken is that a package could not be set up; err: what dpkg or apt-get said.
func stillBroken(u unsettled, err error) error {
	reason := ""
	if err != nil {
		reason = strings.TrimSpace(reasonRE.FindString(err.Error()))
	}
	what := hint.T("%s %s cannot be set up.", "%s %s n'arrive pas à s'installer.", u.Name, u.Version)
	if reason != "" {
		what = hint.T("%s dpkg says: %s.", "%s dpkg dit : %s.", what, hint.Short(reason, 200))
	}
	return hint.New("packages-broken", what, hint.T("All else is finished, and nothing was removed.", "Tout le reste est terminé, et rien n'a été supprimé."),
		hint.T("`sudo dpkg --configure -a` shows more. A mended version often comes within days.", "`sudo dpkg --configure -a` en dit plus. Une version corrigée vient souvent en quelques jours.")).Because(err)
}
