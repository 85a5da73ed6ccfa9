package web

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"rsc.io/qr"

	"github.com/foyer-server/foyer/internal/hint"
)

type linkTexts struct {
	Title, How, Copy, Copied, Start hint.Text
}

var linkSays = linkTexts{
	Title:  hint.T("Pass this link on", "Transmettez ce lien"),
	How:    hint.T("Send it, or let them scan the code. It works once, for 7 days, and is shown only now.", "Envoyez-le, ou faites scanner le code. Il marche une fois, pendant 7 jours, et n'est montré que maintenant."),
	Copy:   hint.T("Copy the link", "Copier le lien"),
	Copied: hint.T("Copied", "Copié"),
	Start:  hint.T("Their device warns of this server? Then they open this address first:", "Leur appareil met en garde contre ce serveur ? Alors il faut ouvrir d'abord cette adresse :"),
}

// passOn is a link that somebody passes on.
type passOn struct {
	Link     string
	Code     template.HTML // the link as a QR code
	Start    string        // the address that teaches trust, where there is something to trust
	LinkSays linkTexts
}

// address is our own address as the sender of r can reach it, "https://HOST[:PORT]":
// of names we were given, never of what a request claims we are called. Empty:
// we do not know any.
func (s *Site) address(r *http.Request) string { return strings.TrimSuffix(s.Address(r), "/") }

// passOn makes the link to a page that takes a code. The code is in the fragment,
// which browsers send to nobody.
func (s *Site) passOn(r *http.Request, page, code string) (passOn, error) {
	address := s.address(r)
	if address == "" {
		return passOn{}, hint.New("address-unknown",
			hint.T("This server does not know by what name others reach it.", "Ce serveur ne sait pas sous quel nom les autres le trouvent."), hint.T("No link was made.", "Aucun lien n'a été créé."),
			hint.T("Put the public name into the setting `addresses`.", "Mettez le nom public dans le réglage `addresses`."))
	}
	p := passOn{Link: address + page + "#code=" + code, LinkSays: linkSays}
	if u, err := url.Parse(address); err == nil && s.Trust != nil && u.Port() == "" {
		p.Start = "http://" + u.Host + "/start"
	}
	var err error
	p.Code, err = drawQR(p.Link)
	return p, err
}

// drawQR draws text as a QR code, black on white in any light.
func drawQR(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("cannot draw a QR code: %w", err)
	}
	const quiet = 4
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	side := code.Size + 2*quiet
	return template.HTML(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" width="240" height="240" role="img" aria-label="QR" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path fill="#000" d="%[2]s"/></svg>`, side, path.String())), nil
}
