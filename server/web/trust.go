package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

type trustTexts struct {
	Title, Lead, Safe, Check, Words, Careful, Done, Go hint.Text
}

var trustSays = trustTexts{
	Title:   hint.T("Trust this server", "Faire confiance à ce serveur"),
	Lead:    hint.T("Your server vouches for itself, since nobody outside can vouch for an address at home. Tell each of your devices once that this is fine.", "Votre serveur se porte garant de lui-même, car personne au-dehors ne le peut pour une adresse à la maison. Dites-le une fois à chacun de vos appareils."),
	Safe:    hint.T("It is safe: this certificate can only vouch for this server, never for your bank or any other site.", "C'est sans danger : ce certificat ne vaut que pour ce serveur, jamais pour votre banque ni pour un autre site."),
	Check:   hint.T("Is it the right server?", "Est-ce le bon serveur ?"),
	Words:   hint.T("It shows these four words, here and where it was installed (sudo foyer status):", "Il montre ces quatre mots, ici et là où il a été installé (sudo foyer status) :"),
	Careful: hint.T("For the careful: before you say yes, your device can show the certificate's SHA-256 fingerprint. It must be the one the server itself shows:", "Pour les prudents : avant de dire oui, votre appareil peut montrer l'empreinte SHA-256 du certificat. Ce doit être celle que le serveur lui-même affiche :"),
	Done:    hint.T("When it is done", "Quand c'est fait"),
	Go:      hint.T("Go in by the secure address", "Entrer par l'adresse sûre"),
}

// platform is how one kind of device learns to trust.
type platform struct {
	ID     string
	Name   hint.Text
	File   string // under /trust/
	Get    hint.Text
	Steps  []hint.Text
	Note   hint.Text
	agents []string // what a User-Agent holds
}

// How these systems ask, as of iOS 18, macOS 15, Android 15, Windows 11. Nobody
// can test their dialogs here: read them again when they change.
var platforms = []platform{
	{
		ID: "ios", Name: hint.T("iPhone and iPad", "iPhone et iPad"), File: "foyer.mobileconfig", agents: []string{"iPhone", "iPad"},
		Get: hint.T("Get the profile", "Obtenir le profil"),
		Steps: []hint.Text{
			hint.T("In Safari, tap the button above, then Allow.", "Dans Safari, touchez le bouton ci-dessus, puis Autoriser."),
			hint.T("Open Settings: at the top it says Profile Downloaded. Tap it, then Install.", "Ouvrez Réglages : en haut se trouve Profil téléchargé. Touchez-le, puis Installer."),
			hint.T("Still in Settings: General, About, Certificate Trust Settings (at the very bottom). Switch this server on.", "Toujours dans Réglages : Général, Informations, Réglages de confiance des certificats (tout en bas). Activez ce serveur."),
		},
		Note: hint.T("iPhones call the profile Not Verified: that is right, it comes from your home.", "L'iPhone dit que le profil n'est pas vérifié : c'est normal, il vient de chez vous."),
	},
	{
		ID: "android", Name: hint.T("Android", "Android"), File: "foyer-root.crt", agents: []string{"Android"},
		Get: hint.T("Get the certificate", "Obtenir le certificat"),
		Steps: []hint.Text{
			hint.T("Tap the button above: the file is saved under Downloads.", "Touchez le bouton ci-dessus : le fichier arrive dans Téléchargements."),
			hint.T("Open Settings and search for: CA certificate.", "Ouvrez les Paramètres et cherchez : certificat CA."),
			hint.T("Tap CA certificate, Install anyway, and choose the file foyer-root.crt.", "Touchez Certificat CA, Installer quand même, et choisissez le fichier foyer-root.crt."),
		},
		Note: hint.T("This is for browsers. Some other apps on Android accept public certificates only.", "Cela vaut pour les navigateurs. Certaines autres applications Android n'acceptent que des certificats publics."),
	},
	{
		ID: "windows", Name: hint.T("Windows", "Windows"), File: "foyer-root.crt", agents: []string{"Windows"},
		Get: hint.T("Get the certificate", "Obtenir le certificat"),
		Steps: []hint.Text{
			hint.T("Click the button above, then open the file that was saved.", "Cliquez sur le bouton ci-dessus, puis ouvrez le fichier enregistré."),
			hint.T("Click Install Certificate, choose Current User, then Next.", "Cliquez sur Installer un certificat, choisissez Utilisateur actuel, puis Suivant."),
			hint.T("Choose Place all certificates in the following store, Browse, Trusted Root Certification Authorities.", "Choisissez Placer tous les certificats dans le magasin suivant, Parcourir, Autorités de certification racines de confiance."),
			hint.T("Finish, answer Yes, and open your browser again.", "Terminez, répondez Oui, et rouvrez votre navigateur."),
		},
	},
	{
		ID: "mac", Name: hint.T("Mac", "Mac"), File: "foyer-root.crt", agents: []string{"Macintosh"},
		Get: hint.T("Get the certificate", "Obtenir le certificat"),
		Steps: []hint.Text{
			hint.T("Click the button above, then open the file that was saved: Keychain Access opens and adds it.", "Cliquez sur le bouton ci-dessus, puis ouvrez le fichier enregistré : Trousseaux d'accès s'ouvre et l'ajoute."),
			hint.T("Find it there (its name begins with Foyer) and double-click it.", "Trouvez-le (son nom commence par Foyer) et double-cliquez dessus."),
			hint.T("Open Trust, and next to When using this certificate choose Always Trust. Close the window.", "Ouvrez Se fier, et à côté de Lors de l'utilisation de ce certificat choisissez Toujours approuver. Fermez la fenêtre."),
		},
		Note: hint.T("The profile for iPhones works on a Mac, too: System Settings, General, Device Management.", "Le profil pour iPhone marche aussi sur Mac : Réglages Système, Général, Gestion des appareils."),
	},
	{
		ID: "linux", Name: hint.T("Linux", "Linux"), File: "foyer-root.pem", agents: []string{"Linux", "X11"},
		Get: hint.T("Get the certificate", "Obtenir le certificat"),
		Steps: []hint.Text{
			hint.T("Chrome and Chromium: Settings, Privacy and security, Security, Manage certificates, Custom, Import.", "Chrome et Chromium : Paramètres, Confidentialité et sécurité, Sécurité, Gérer les certificats, Personnalisés, Importer."),
			hint.T("The whole system (Debian, Ubuntu): save it as /usr/local/share/ca-certificates/foyer.crt, then run sudo update-ca-certificates.", "Tout le système (Debian, Ubuntu) : enregistrez-le sous /usr/local/share/ca-certificates/foyer.crt, puis lancez sudo update-ca-certificates."),
		},
	},
	{
		ID: "firefox", Name: hint.T("Firefox, on any computer", "Firefox, sur tout ordinateur"), File: "foyer-root.crt",
		Get: hint.T("Get the certificate", "Obtenir le certificat"),
		Steps: []hint.Text{
			hint.T("Open Settings, Privacy & Security, and at the bottom View Certificates.", "Ouvrez Paramètres, Vie privée et sécurité, et tout en bas Afficher les certificats."),
			hint.T("Under Authorities click Import, choose the file, and tick Trust this CA to identify websites.", "Sous Autorités cliquez sur Importer, choisissez le fichier, et cochez Confirmer cette AC pour identifier des sites web."),
		},
	},
}

type trustPage struct {
	frame
	Say        trustTexts
	Platforms  []platform
	Open       string // ID of the visitor's own
	ShownWords []string
	ShownPrint string
	Secure     string
}

// trustPages teach devices to trust this server.
type trustPages struct{ *Site }

// trust is /trust and the files people get there.
func (s trustPages) trust() error {
	block, _ := pem.Decode(s.Trust.RootPEM())
	if block == nil {
		return errors.New("cannot make the pages: the root certificate is none")
	}
	s.root = block.Bytes
	s.handle(Unclaimed|Plain, http.MethodGet, "/trust", func(w http.ResponseWriter, r *http.Request) {
		p := trustPage{
			frame: s.frame(r, nil, "/trust", trustSays.Title), Say: trustSays,
			ShownWords: s.Trust.Words(s.lang(r)), ShownPrint: s.Trust.Fingerprint(), Secure: s.Secure(r),
		}
		p.Platforms, p.Open = forVisitor(r.UserAgent())
		w.Header().Add("Vary", "User-Agent")
		s.render(w, r, http.StatusOK, "trust.html", p)
	})
	file := func(name, kind string, data func(*http.Request) []byte) {
		s.handle(Unclaimed|Plain, http.MethodGet, "/trust/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
			s.write(w, http.StatusOK, data(r))
		})
	}
	// DER is what every system that asks a person to open a file understands; PEM
	// is for tools that collect certificates in text files.
	file("foyer-root.crt", "application/x-x509-ca-cert", func(*http.Request) []byte { return s.root })
	file("foyer-root.pem", "application/x-pem-file", func(*http.Request) []byte { return s.Trust.RootPEM() })
	file("foyer.mobileconfig", "application/x-apple-aspen-config", func(r *http.Request) []byte { return s.mobileconfig(s.lang(r)) })
	return nil
}

// forVisitor puts the visitor's own kind of device first.
func forVisitor(agent string) (list []platform, open string) {
	list = slices.Clone(platforms)
	for i, p := range list {
		if slices.ContainsFunc(p.agents, func(a string) bool { return strings.Contains(agent, a) }) {
			own := list[i]
			return slices.Insert(slices.Delete(list, i, i+1), 0, own), own.ID
		}
	}
	return list, ""
}

var mobileconfigSays = hint.T("Lets this device recognise the Foyer at home. It can vouch for nothing else.", "Permet à cet appareil de reconnaître le Foyer à la maison. Il ne vaut pour rien d'autre.")

// mobileconfig is a configuration profile that holds the root (Apple,
// Configuration Profile Reference: com.apple.security.root). The same root makes
// the same identifiers, so that installing it again replaces it.
func (s trustPages) mobileconfig(l hint.Lang) []byte {
	text := func(t string) string {
		var b bytes.Buffer
		_ = xml.EscapeText(&b, []byte(t)) // a bytes.Buffer takes everything
		return b.String()
	}
	uuid := func(part string) string {
		h := sha256.Sum256(append([]byte(part), s.root...))
		return fmt.Sprintf("%X-%X-%X-%X-%X", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
	}
	name, id := text("Foyer "+s.Name), "org.foyer-server."+strings.ToLower(uuid("id"))
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadType</key><string>Configuration</string>
	<key>PayloadVersion</key><integer>1</integer>
	<key>PayloadIdentifier</key><string>%[1]s</string>
	<key>PayloadUUID</key><string>%[2]s</string>
	<key>PayloadDisplayName</key><string>%[4]s</string>
	<key>PayloadDescription</key><string>%[5]s</string>
	<key>PayloadRemovalDisallowed</key><false/>
	<key>PayloadContent</key>
	<array>
		<dict>
			<key>PayloadType</key><string>com.apple.security.root</string>
			<key>PayloadVersion</key><integer>1</integer>
			<key>PayloadIdentifier</key><string>%[1]s.root</string>
			<key>PayloadUUID</key><string>%[3]s</string>
			<key>PayloadDisplayName</key><string>%[4]s</string>
			<key>PayloadCertificateFileName</key><string>foyer-root.crt</string>
			<key>PayloadContent</key><data>%[6]s</data>
		</dict>
	</array>
</dict>
</plist>
`, id, uuid("profile"), uuid("root"), name, text(mobileconfigSays.In(l)), base64.StdEncoding.EncodeToString(s.root))
}
