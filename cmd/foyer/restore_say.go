package main

import (
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/restore"
)

// clock is a moment for people, in their own time.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// moment is what --to says; zero: it says nothing. A day alone is the end of it.
func (a *restoring) moment(now time.Time) (time.Time, error) {
	text := strings.ToLower(strings.TrimSpace(a.to))
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, strings.ToUpper(text)); err == nil {
		return t, nil
	}
	day, hours, timed := strings.Cut(text, " ")
	date, err := time.ParseInLocation("2006-01-02", day, now.Location())
	switch day {
	case "today", "aujourd'hui":
		date, err = now, nil
	case "yesterday", "hier":
		date, err = now.AddDate(0, 0, -1), nil
	}
	at := time.Date(0, 1, 1, 23, 59, 59, 999_999_999, time.UTC)
	if err == nil && timed {
		hours = strings.TrimSpace(hours)
		if at, err = time.Parse("15:04", hours); err != nil {
			at, err = time.Parse("15:04:05", hours)
		}
	}
	if err != nil {
		return time.Time{}, wrongUse(hint.T("%s is not a point in time: 2026-11-27, 2026-11-27 18:00, “yesterday 18:00” or 2026-11-27T18:00:00Z", "%s n'est pas un moment : 2026-11-27, 2026-11-27 18:00, « hier 18:00 » ou 2026-11-27T18:00:00Z", a.to))
	}
	y, m, d := date.Date()
	return time.Date(y, m, d, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), now.Location()), nil
}

// said is one line of what --json says.
type said struct {
	Verdict  *restore.Verdict  `json:"verdict,omitempty"`
	Progress *restore.Progress `json:"progress,omitempty"`
	Done     *restore.Result   `json:"done,omitempty"`
}

// sayVerdict says what there is; asked: of a moment that was asked for.
func (a *restoring) sayVerdict(v *restore.Verdict, asked bool) {
	if a.json {
		a.printJSON(said{Verdict: v})
		return
	}
	whose := strings.Join(v.Accounts[:min(3, len(v.Accounts))], ", ")
	switch more := len(v.Accounts) - 3; {
	case len(v.Accounts) == 0:
		a.say(hint.T("A backup without accounts, made by Foyer %s", "Une sauvegarde sans compte, faite par Foyer %s", v.Version))
	case more > 0:
		a.say(hint.T("The backup of %s and %d more, made by Foyer %s", "La sauvegarde de %s et %d autres, faite par Foyer %s", whose, more, v.Version))
	default:
		a.say(hint.T("The backup of %s, made by Foyer %s", "La sauvegarde de %s, faite par Foyer %s", whose, v.Version))
	}
	if asked {
		a.say(hint.T("  as of %s, the last moment kept before the one asked for", "  à l'état du %s, dernier moment gardé avant celui demandé", clock(v.Moment)))
	} else {
		a.say(hint.T("  as of %s, the newest", "  à l'état du %s, le plus récent", clock(v.Moment)))
	}
	a.say(hint.T("  which was %s ago", "  il y a %s", age(time.Since(v.Moment)).In(a.lang)))
	a.say(hint.T("  %d records, %d accounts, %d attachments, %d MB of data (as counted on %s)", "  %d enregistrements, %d comptes, %d fichiers joints, %d Mo de données (compte du %s)", v.Records, len(v.Accounts), v.Attachments, v.Bytes>>20, clock(v.Counted)))
	switch {
	case a.here != nil && a.here.ours:
		a.say(hint.T("  It goes in the place of what is in %s, which is kept beside it.", "  Elle prend la place de ce qui est dans %s, qui reste à côté.", a.here.Data))
	case a.here != nil && a.keep:
		a.say(hint.T("  It goes in the place of what is in %s, certificates and keys too; what is there is kept beside it.", "  Elle prend la place de ce qui est dans %s, certificats et clés compris ; ce qui y est reste à côté.", a.here.Data))
	case a.here != nil:
		a.say(hint.T("  It goes in the place of what is in %s, certificates, keys and settings too; what is there is kept beside it.", "  Elle prend la place de ce qui est dans %s, certificats, clés et réglages compris ; ce qui y est reste à côté.", a.here.Data))
	case v.Bundle > 0:
		a.say(hint.T("  %d files of settings and keys are in it, too; they are not restored here", "  elle contient aussi %d fichiers de réglages et de clés ; ils ne sont pas restaurés ici", v.Bundle))
	}
	for _, p := range v.Problems {
		a.say(hint.T("! %s [%s]", "! %s [%s]", p.What, p.Code))
	}
	if len(v.Problems) > 0 {
		a.say(hint.T("  The rest is restored without these.", "  Le reste est restauré sans eux."))
	}
	if v.Free >= 0 {
		a.say(hint.T("  about %d MB on the disk, where %d MB are free", "  environ %d Mo sur le disque, où %d Mo sont libres", v.Needs>>20, v.Free>>20))
	}
	if v.Yes {
		a.say(hint.T("It can be restored here; that takes about %s.", "Elle peut être restaurée ici ; cela prend environ %s.", age(time.Duration(v.Seconds)*time.Second).In(a.lang)))
	} else {
		a.say(hint.T("It cannot be restored here.", "Elle ne peut pas être restaurée ici."))
	}
}

// age is how long something is, roughly.
func age(d time.Duration) hint.Text {
	switch {
	case d < 2*time.Minute:
		return hint.T("%d s", "%d s", max(0, int(d.Seconds())))
	case d < 2*time.Hour:
		return hint.T("%d min", "%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return hint.T("%d hours", "%d heures", int(d.Hours()))
	}
	return hint.T("%d days", "%d jours", int(d.Hours()/24))
}

// sayProgress says how it goes.
func (a *restoring) sayProgress(p restore.Progress) {
	if a.json {
		a.printJSON(said{Progress: &p})
		return
	}
	switch p.Step {
	case restore.Loading:
		a.say(hint.T("  %d of %d lines", "  %d lignes sur %d", p.Done, p.Of))
	case restore.Comparing:
		a.say(hint.T("  loaded and checked; comparing", "  tout est chargé et vérifié ; comparaison"))
	case restore.Attachments:
		a.say(hint.T("  attachments", "  fichiers joints"))
	case restore.Finishing:
		a.say(hint.T("  writing it to the disk", "  écriture sur le disque"))
	}
}

func (a *restoring) sayDone(r restore.Result) {
	if a.json {
		a.printJSON(said{Done: &r})
		return
	}
	a.say(hint.T("It is in %s: %d records, %d accounts and %d attachments, as of %s.", "C'est dans %s : %d enregistrements, %d comptes et %d fichiers joints, à l'état du %s.", r.Into, r.Records, r.People, r.Attachments, clock(r.Moment)))
	if r.Compared {
		a.say(hint.T("All of it is what your server said it had then.", "Tout correspond à ce que votre serveur disait avoir alors."))
	} else {
		a.say(hint.T("All that was read is signed by your server, none of it is missing, and the database is in order. Your server has not said what all of it came to at just that moment, so that nothing more could be compared.", "Tout ce qui a été lu est signé par votre serveur, rien n'y manque, et la base de données est en ordre. Votre serveur n'a pas dit à quoi le tout revenait à ce moment précis : rien de plus n'a pu être comparé."))
	}
	if a.apps {
		a.say(hint.T("Everybody signs in again; passwords of apps still work.", "Chacun se reconnecte ; les mots de passe d'applications marchent encore."))
	} else {
		a.say(hint.T("Everybody signs in again, and makes new passwords for apps.", "Chacun se reconnecte, et recrée ses mots de passe d'applications."))
	}
}
