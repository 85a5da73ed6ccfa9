package router

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
)

// Checks tells whether visitors from outside get in, as far as it is known.
func (r *Router) Checks() []health.Check {
	return []health.Check{{
		Code: "router", Title: hint.T("Router", "Box internet"),
		DependsOn: r.cfg.DependsOn,
		Run:       func(context.Context) health.Finding { return r.finding(r.State()) },
	}}
}

func (r *Router) finding(s State) health.Finding {
	ports := r.ports()
	warn := func(what, do hint.Text) health.Finding {
		return health.Finding{Severity: health.Warning, What: what, Did: hint.T("At home everything works; Foyer asks the router again now and then.", "À la maison tout fonctionne ; Foyer redemande à la box de temps en temps."), Do: do}
	}
	byHand := hint.T("Open port %s to this machine on the router's own pages, or set `router` to off.", "Ouvrez le port %s vers cette machine dans les pages de la box, ou mettez `router` à off.", ports)
	switch {
	case !s.Asked && s.Err == nil && !s.Outside.IsValid():
		return health.Finding{What: hint.T("The router is being asked.", "La box est en train d'être interrogée.")}
	case s.Proof == GetsIn:
		return health.Finding{What: hint.T("Visitors from outside get in on port %s; it was tried.", "Les visiteurs de l'extérieur entrent par le port %s ; cela a été essayé.", ports)}
	case s.Outside.IsValid() && reach(s.Outside) == carrier:
		return warn(
			hint.T("Your provider shares one Internet address among many customers (the router has %s): nobody gets in from outside, whatever the router says.", "Votre fournisseur partage une adresse internet entre de nombreux clients (la box a %s) : personne n'entre de l'extérieur, quoi que dise la box.", s.Outside.String()),
			hint.T("Ask the provider for a public IPv4 address of your own.", "Demandez au fournisseur une adresse IPv4 publique à vous."))
	case s.Outside.IsValid() && reach(s.Outside) == private:
		return warn(
			hint.T("The router stands behind another one (outside it is %s): visitors do not get that far.", "La box est derrière une autre (à l'extérieur, elle est %s) : les visiteurs n'arrivent pas jusque-là.", s.Outside.String()),
			hint.T("Let the outer router pass port %s on to this one.", "Faites passer le port %s par la box extérieure vers celle-ci.", ports))
	case s.Asked && reach(s.Outside) == none, errors.Is(s.Err, errNoWay):
		return warn(
			hint.T("The router has no Internet address of its own: the provider shares one among many customers, or the line is down.", "La box n'a pas d'adresse internet à elle : le fournisseur en partage une entre de nombreux clients, ou la ligne est coupée."),
			hint.T("If the line works, ask the provider for a public IPv4 address of your own.", "Si la ligne fonctionne, demandez au fournisseur une adresse IPv4 publique à vous."))
	case s.Proof == StaysOut:
		return warn(hint.T("The router says that visitors get in on port %s, but from outside they do not.", "La box dit que les visiteurs entrent par le port %s, mais de l'extérieur ils n'entrent pas.", ports), byHand)
	case s.Asked:
		return health.Finding{
			Severity: health.Info, What: hint.T("The router (%s) was asked to let visitors in on port %s and said yes; nobody has tried it from outside.", "La box (%s) a été priée de laisser entrer par le port %s et a dit oui ; personne ne l'a essayé de l'extérieur.", s.Outside.String(), ports),
			Did: hint.T("Foyer asks again before it ends, and takes it back when it stops.", "Foyer le redemande avant l'échéance, et le retire quand il s'arrête."),
			Do:  hint.T("Try it with a phone that is not in your WLAN.", "Essayez avec un téléphone hors de votre réseau wifi."),
		}
	case errors.Is(s.Err, errOccupied):
		return warn(hint.T("The router lets visitors on port %s in to another machine.", "La box fait entrer les visiteurs du port %s vers une autre machine.", ports), byHand)
	case errors.Is(s.Err, errRefused):
		return warn(hint.T("The router refuses to let visitors in on port %s.", "La box refuse de laisser entrer par le port %s.", ports), byHand)
	}
	return warn(hint.T("No router answers that could be asked to let visitors in.", "Aucune box ne répond qu'on puisse prier de laisser entrer."), byHand)
}

// ports names them as people do: "443 and 80".
func (r *Router) ports() hint.Text {
	var all []string
	for _, p := range r.cfg.Ports {
		all = append(all, fmt.Sprint(p.Outside))
	}
	return hint.T("%s", "%s", strings.Join(all, ", "))
}
