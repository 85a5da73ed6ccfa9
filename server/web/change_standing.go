package web

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/people"
)

type standingTexts struct {
	Title, LinkTitle, LinkHow, LinkNone, Or, Open, Scan, NewPage, Follow, Away, Back, BackHow, ToIt hint.Text
}

var standingSays = standingTexts{
	Title:     hint.T("Changing how this server is reached", "Modification de la façon de joindre ce serveur"),
	LinkTitle: hint.T("Confirm it with this link", "Confirmez par ce lien"),
	LinkHow:   hint.T("Open it in half a minute, when the change is in force, on this device or another. Keep it until then: it is shown only now.", "Ouvrez-le dans une demi-minute, quand la modification sera en vigueur, sur cet appareil ou un autre. Gardez-le d'ici là : il n'est montré que maintenant."),
	LinkNone:  hint.T("No address is known by which you could confirm it. On the server itself, type: sudo foyer change --keep.", "Aucune adresse n'est connue par laquelle confirmer. Sur le serveur même, tapez : sudo foyer change --keep."),
	Or:        hint.T("Any of these will do, too:", "N'importe lequel de ceux-ci convient aussi :"),
	Open:      hint.T("Open the link", "Ouvrir le lien"),
	Scan:      hint.T("Or scan it with a phone:", "Ou scannez-le avec un téléphone :"),
	NewPage:   hint.T("in another tab", "dans un autre onglet"),
	Follow:    hint.T("See how it goes", "Voir où cela en est"),
	Away:      hint.T("This address does not answer at the moment. Where it goes away by the change, that is as it should be: open the link.", "Cette adresse ne répond pas en ce moment. Si elle disparaît avec la modification, c'est normal : ouvrez le lien."),
	Back:      hint.T("Undo it now", "L'annuler maintenant"),
	BackHow:   hint.T("Lost the link? Undo the change and begin again, or confirm it on the server itself: sudo foyer change --keep.", "Lien perdu ? Annulez la modification et recommencez, ou confirmez-la sur le serveur même : sudo foyer change --keep."),
	ToIt:      hint.T("See the change", "Voir la modification"),
}

// standing is how a change stands, for people.
type standing struct {
	Say    standingTexts
	Job    report.Job
	Change report.Change
	Busy   bool // it is not decided yet
	Bad    bool // something is wrong
	Good   bool
	What   hint.Text
	Lines  []hint.Text // why, what Foyer did, and what there is to do
}

func standingOf(j report.Job) standing {
	st := standing{Say: standingSays, Job: j, Change: changeOf(j), Busy: underWay(j)}
	switch {
	case j.State == report.JobDone:
		st.Good = true
		st.What, st.Lines = hint.T("The change was confirmed: it stays.", "La modification a été confirmée : elle reste."), nil
	case !st.Busy:
		st.Bad = st.Change.State != report.ChangeBack
		st.What = hint.T("The change was not made.", "La modification n'a pas été faite.")
		if st.Change.State == report.ChangeBack && !st.Change.Reason.IsZero() {
			st.What = hint.T("The change was undone: everything is as it was.", "La modification a été annulée : tout est comme avant.")
			st.Lines = []hint.Text{st.Change.Reason}
		} else if e := j.Error; e != nil {
			st.Lines = []hint.Text{e.What, e.Did}
		}
		if e := j.Error; e != nil {
			st.Lines = append(st.Lines, e.Do)
		}
	case st.Change.State == report.ChangeWaiting:
		st.What = hint.T("The change is in force, and waits for you to confirm it.", "La modification est en vigueur, et attend votre confirmation.")
		st.Lines = []hint.Text{
			hint.T("Without that everything goes back at %s, by the clock of the server.", "Sans cela, tout revient en arrière à %s, à l'horloge du serveur.", st.Change.Until.Local().Format("15:04:05")),
			hint.T("Open the link you were given when it began.", "Ouvrez le lien reçu au début."),
		}
	case st.Change.State == report.ChangeGoingBack:
		st.What = hint.T("The change is being undone.", "La modification est en train d'être annulée.")
		st.Lines = []hint.Text{st.Change.Reason, hint.T("That takes a moment, and is tried until it has worked.", "Cela prend un instant, et est essayé jusqu'à ce que cela marche.")}
	case st.Change.State == report.ChangeKept:
		st.What = hint.T("The change was confirmed: it stays.", "La modification a été confirmée : elle reste.")
	default:
		st.What = hint.T("The settings are being changed.", "Les réglages sont en train d'être modifiés.")
		st.Lines = []hint.Text{hint.T("The service is restarted; that takes some seconds.", "Le service redémarre ; cela prend quelques secondes.")}
	}
	return st
}

// CanUndo reports whether it can still be undone.
func (st standing) CanUndo() bool {
	return st.Busy && st.Change.State != report.ChangeGoingBack && st.Change.State != report.ChangeKept
}

// waitingOf is the change under way, for the pages that tell of everything; nil: there is none,
// or the light is about it already.
func waitingOf(st report.Status, l *Light) *standing {
	change := lastOf(st.Jobs)
	if change == nil || !change.Busy {
		return nil
	}
	if worst, ok := report.Worst(st.Checks); ok && worst.Code == "change" && worst.Severity > report.Info {
		l.Change = change
		return nil
	}
	return change
}

type begunPage struct {
	frame
	Say      standingTexts
	Copy     linkTexts
	Standing standing
	Fresh    bool // it was begun by this very request: the links are told this once
	Lasts    hint.Text
	Links    []string
	Code     template.HTML // the first one, as a QR code
}

// begun shows a change under way. With the code, which is told once, it shows the links that
// confirm the change: in the answer to who began it, since the address that brought them may
// be gone with the next request.
func (s changePages) begun(w http.ResponseWriter, r *http.Request, who *people.Person, st standing, code string) {
	p := begunPage{frame: s.frame(r, who, changePath, standingSays.Title, "form.js", "live.js"), Say: standingSays, Copy: linkSays, Standing: st, Fresh: code != ""}
	if !p.Fresh {
		p.Refresh = busyRefresh // it would take the links away
		s.render(w, r, http.StatusOK, "change_begun.html", p)
		return
	}
	p.Lasts = hint.T("Once the change is in force you have %s. Without you everything goes back to what it was, by itself.", "Une fois la modification en vigueur, vous avez %s. Sans vous, tout redevient comme avant, de soi-même.", report.Age(time.Duration(st.Change.Plan.Seconds)*time.Second))
	for _, through := range st.Change.Plan.Through {
		if u, err := url.Parse(through); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			p.Links = append(p.Links, strings.TrimSuffix(through, "/")+keepPath+"?code="+url.QueryEscape(code))
		}
	}
	if len(p.Links) > 0 {
		var err error
		if p.Code, err = drawQR(p.Links[0]); err != nil {
			s.Log.Warn("a link has no QR code", "err", err) // which is too long, most likely; the link is there
		}
	}
	s.render(w, r, http.StatusOK, "change_begun.html", p)
}
