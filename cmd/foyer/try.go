package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/cmd/foyer/appliance"
	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/visit"
)

type tryFlags struct {
	data, listen, owner, answers string
	http, front                  bool
}

// tryCmd runs the whole of Foyer in the foreground: the same supervisor and
// server as installed, without root, nothing installed. Settings are those of the file
// that --settings names, if it does, and of the environment; what try has flags for, the
// folder of the data, the ports and the proxy's address, is what try says, whatever they
// say: trying touches nobody's data and takes no other port.
func (a *app) tryCmd() *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use: "try", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Run everything in the foreground; nothing is installed", "Tout lancer au premier plan ; rien n'est installé").In(a.lang),
		RunE:  func(cmd *cobra.Command, _ []string) error { return try(cmd.Context(), a, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", hint.T("folder for the data, kept afterwards (default: a temporary one, removed at the end)", "dossier des données, conservé ensuite (par défaut : un dossier temporaire, effacé à la fin)").In(a.lang))
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8888", hint.T("address and port to answer on", "adresse et port d'écoute").In(a.lang))
	flags.BoolVar(&f.http, "http", false, hint.T("plain HTTP, on this machine's loopback address only", "HTTP simple, sur la boucle locale seulement").In(a.lang))
	flags.BoolVar(&f.front, "proxy", false, hint.T("plain HTTP for a reverse proxy of yours that has the certificate (settings proxy.*)", "HTTP simple, pour un mandataire inverse à vous qui a le certificat (réglages proxy.*)").In(a.lang))
	flags.StringVar(&f.owner, "owner", "", hint.T("make this owner at once; the password comes from FOYER_OWNER_PASSWORD", "créer d'emblée ce propriétaire ; mot de passe dans FOYER_OWNER_PASSWORD").In(a.lang))
	flags.StringVar(&f.answers, "answers", "", hint.T("answers file with owner and owner_password (-: standard input)", "fichier de réponses avec owner et owner_password (- : entrée standard)").In(a.lang))
	return cmd
}

// trying is what `foyer try --json` prints, on one line, once it serves.
type trying struct {
	URL         string `json:"url"` // the Kinto API
	Home        string `json:"home"`
	Claim       string `json:"claim,omitempty"` // the code; absent when there is an owner
	Owner       string `json:"owner,omitempty"`
	Data        string `json:"data"`
	Run         string `json:"run"`                        // for foyer status --run
	Certificate string `json:"root_certificate,omitempty"` // file to trust; absent with --http
}

func try(ctx context.Context, a *app, f tryFlags) (err error) {
	addr, err := tryAddress(f)
	if err != nil {
		return err
	}
	owner, password, err := tryOwner(ctx, a, f)
	if err != nil {
		return err
	}
	data, err := filepath.Abs(f.data)
	if err != nil {
		return err
	}
	if f.data == "" {
		if data, err = os.MkdirTemp("", "foyer-try-"); err != nil {
			return fmt.Errorf("cannot make a temporary folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	} else if err := os.MkdirAll(data, 0o700); err != nil {
		return hint.New("target-readonly", hint.T("The folder %s cannot be used.", "Le dossier %s est inutilisable.", data), hint.Text{},
			hint.T("Choose one you may write to: --data FOLDER.", "Choisissez-en un où vous pouvez écrire : --data DOSSIER.")).Because(err)
	}

	l, err := host.Listen(host.HTTPS, "tcp", addr)
	if err != nil {
		_, port, _ := net.SplitHostPort(addr)
		n, _ := strconv.Atoi(port)
		return host.PortTaken(n, err)
	}
	if f.http {
		l.Name = host.HTTP
	}
	env := tryEnv(data, l.Addr().(*net.TCPAddr).Port)
	if f.front {
		l.Name = host.Front
		env = append(env, "FOYER_PROXY_LISTEN="+l.Addr().String())
	}
	runDir, remove, err := runDirFor(data)
	if err != nil {
		l.Close()
		return err
	}
	defer remove()
	a.runDir = runDir
	forget, err := trySettings(ctx, a)
	if err != nil {
		l.Close()
		return err
	}
	defer forget()
	s, err := a.loadSettings(ctx, append(slices.Clone(a.environ), env...))
	if err != nil {
		l.Close()
		return err
	}
	if owner != "" {
		offer, err := claim.ForOwner(owner, password)
		if err == nil {
			err = claim.Leave(data, offer, -1, -1)
		}
		if err != nil {
			l.Close()
			return err
		}
	}
	args := []string{"serve", "--settings", a.settings}
	if f.http {
		args = append(args, "--plain-http")
	}
	journal := supervisor.NewJournal(a.err)
	sv, err := a.appliance(s).Trial(appliance.Process{Args: args, Environ: env, Journal: journal, Log: a.logger(journal)}, l)
	if err != nil {
		return err
	}
	os.Unsetenv("FOYER_OWNER_PASSWORD") // the server's process does not need it

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- sv.Run(ctx) }()
	if err := announce(ctx, a, sv, f, l, data, owner, ended); err != nil {
		cancel()
		return errors.Join(err, <-ended)
	}
	return <-ended
}

// announce waits until the server answers and prints how to reach it. It returns
// nil, too, when the supervisor ended meanwhile: its error is then still in ended.
func announce(ctx context.Context, a *app, sv *supervisor.Supervisor, f tryFlags, l host.Listener, data, owner string, ended chan error) error {
	st := sv.Status(ctx)
	for st.Server.State != "healthy" {
		if st.Server.State == "crash-loop" || st.Server.State == "safe-mode" {
			return hint.New("server-fails", hint.T("The server does not start: %s", "Le serveur ne démarre pas : %s", hint.Block(tail(st.Server.LastLines, 3))),
				hint.Text{}, hint.T("Mend that, then try again.", "Corrigez cela, puis réessayez."))
		}
		select {
		case err := <-ended:
			ended <- err
			return nil
		case <-time.After(10 * time.Millisecond):
		}
		st = sv.Status(ctx)
	}
	scheme := "https"
	if f.http || f.front {
		scheme = "http"
	}
	tcp := l.Addr().(*net.TCPAddr).AddrPort()
	if tcp.Addr().IsUnspecified() { // every address: name one that works here
		tcp = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), tcp.Port())
	}
	t := trying{Home: scheme + "://" + tcp.String() + "/", Data: data, Owner: owner, Run: a.runDir}
	t.URL = t.Home + "v1/"
	if !f.http && !f.front {
		t.Certificate = visit.RootCertificate(data)
	}
	if !st.Claimed {
		code, _, err := sv.NewClaim(ctx)
		if err != nil {
			return err
		}
		t.Claim = code
	}
	if a.json {
		a.printJSON(t)
		return nil
	}
	a.say(hint.T("Foyer is running at %s (the Kinto API at %s).", "Foyer tourne à l'adresse %s (l'API Kinto : %s).", t.Home, t.URL))
	if t.Claim != "" {
		a.say(hint.T("Open %sclaim and type the code %s to become its owner.", "Ouvrez %sclaim et tapez le code %s pour en devenir propriétaire.", t.Home, t.Claim))
	}
	if t.Certificate != "" {
		a.say(hint.T("Its certificate is signed by %s.", "Son certificat est signé par %s.", t.Certificate))
	}
	if f.data == "" {
		a.say(hint.T("Nothing is installed; its data goes when you press Ctrl-C.", "Rien n'est installé ; ses données disparaissent quand vous faites Ctrl-C."))
	} else {
		a.say(hint.T("Nothing is installed; its data stays in %s. Ctrl-C ends it.", "Rien n'est installé ; ses données restent dans %s. Ctrl-C l'arrête.", data))
	}
	return nil
}

func tail(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

// tryAddress checks --listen, and that plain HTTP stays on loopback.
func tryAddress(f tryFlags) (string, error) {
	hostPart, port, err := net.SplitHostPort(f.listen)
	if err != nil {
		return "", wrongUse(hint.T("--listen %s: ADDRESS:PORT is needed", "--listen %s : il faut ADRESSE:PORT", f.listen))
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", wrongUse(hint.T("--listen %s: a port from 0 to 65535 is needed", "--listen %s : il faut un port de 0 à 65535", f.listen))
	}
	if f.http && f.front {
		return "", wrongUse(hint.T("--http and --proxy do not go together", "--http et --proxy ne vont pas ensemble"))
	}
	if f.http {
		ip, err := netip.ParseAddr(hostPart)
		if hostPart != "localhost" && (err != nil || !ip.IsLoopback()) {
			return "", hint.New("http-loopback-only",
				hint.T("Without encryption Foyer only answers this machine itself, not %s.", "Sans chiffrement, Foyer ne répond qu'à cette machine, pas à %s.", f.listen), hint.Text{},
				hint.T("Leave out --http, or listen on 127.0.0.1.", "Retirez --http, ou écoutez sur 127.0.0.1.")).Exits(hint.ExitUsage)
		}
	}
	return f.listen, nil
}

// trySettings makes a.settings the file that is read here and by the server's process:
// none, unless somebody named one. A pipe is read once, so what it says is kept in the run
// folder until the end.
func trySettings(ctx context.Context, a *app) (forget func(), err error) {
	forget = func() {}
	if !a.named || a.settings == "" {
		a.settings = ""
		return forget, nil
	}
	if a.settings, err = filepath.Abs(a.settings); err != nil {
		return forget, err
	}
	if info, err := os.Stat(a.settings); err != nil || info.Mode().IsRegular() || info.IsDir() {
		return forget, nil // reading it tells what is wrong
	}
	text, err := host.Interruptible(ctx, func() ([]byte, error) { return os.ReadFile(a.settings) })
	if err != nil {
		return forget, fmt.Errorf("cannot read the settings: %w", err)
	}
	a.settings = filepath.Join(a.runDir, "settings")
	forget = func() { os.Remove(a.settings) } //nolint:errcheck // it may be gone
	return forget, os.WriteFile(a.settings, text, 0o600)
}

// tryOwner finds the owner to make and their password.
func tryOwner(ctx context.Context, a *app, f tryFlags) (name, password string, err error) {
	if f.owner == "" && f.answers == "" {
		return "", "", nil
	}
	flags := map[string]string{}
	if f.owner != "" {
		flags["owner"] = f.owner
	}
	answers, err := loadAnswers(ctx, f.answers, a.in, a.environ, flags)
	if err != nil {
		return "", "", err
	}
	return answers.Owner, answers.OwnerPassword, nil
}

// tryEnv is what the server's process needs to know besides its inherited settings.
func tryEnv(data string, port int) []string {
	other := port - 1
	if other < 1 {
		other = port + 1
	}
	return []string{"FOYER_DATA=" + data, "FOYER_HTTPS_PORT=" + strconv.Itoa(port), "FOYER_HTTP_PORT=" + strconv.Itoa(other)}
}

// runDirFor returns a folder for sockets whose path is short enough for them.
func runDirFor(data string) (dir string, remove func(), err error) {
	if dir := filepath.Join(data, "run"); len(dir) < 80 { // sun_path holds 108 bytes, unix(7)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, fmt.Errorf("cannot make the folder for sockets: %w", err)
		}
		return dir, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "foyer-run-")
	if err != nil {
		return "", nil, fmt.Errorf("cannot make the folder for sockets: %w", err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil //nolint:errcheck // a temporary folder
}
