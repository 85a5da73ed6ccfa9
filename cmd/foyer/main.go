// Command foyer is the whole of Foyer in one binary: the installer, the
// supervisor, the server, and the commands by which people look after them.
//
// This package only wires: one file per subcommand, each reading its flags and
// settings and calling one front door. How errors are shown and which exit code
// they give is decided here once (docs/codes.md), as is what may reach a terminal
// (console.go). Everybody may be named here; nobody names this package.
package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// Set at link time: -X main.version=1.2.3 -X main.built=2026-11-01T00:00:00Z.
var (
	version = "0.0.0-dev"
	built   = ""
)

// builtAt is when this version was made; the clock is not believed to be earlier.
func builtAt() time.Time {
	t, err := time.Parse(time.RFC3339, built)
	if err != nil {
		return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	}
	return t
}

func main() {
	// The first signal asks everything to end in good order, the second one kills. What
	// waits for a person, or for a pipe, does not go on without them (host.Interruptible).
	ctx, stop := signal.NotifyContext(context.Background(), host.Interrupts()...)
	go func() {
		<-ctx.Done()
		stop()
	}()
	a := newApp(os.Stdin, os.Stdout, os.Stderr, os.Environ())
	os.Exit(a.run(ctx, os.Args[1:]))
}

// app is one run of the command.
type app struct {
	console
	langGiven bool   // by --lang
	settings  string // path of the settings file
	named     bool   // which --settings named
	runDir    string // where the supervisor's sockets are
}

// newApp is a run of the command with these as its terminal and environment.
func newApp(in io.Reader, out, err io.Writer, environ []string) *app {
	return &app{console: console{in: in, out: out, err: err, environ: environ}}
}

func (a *app) run(ctx context.Context, args []string) int {
	onPrinters(&a.console)
	a.lang, _ = hint.Locale(a.getenv)
	for i, arg := range args { // before cobra: its help texts want the language
		value, ok := strings.CutPrefix(arg, "--lang=")
		if arg == "--lang" && i+1 < len(args) {
			value, ok = args[i+1], true
		}
		if l, known := hint.ParseLang(value); ok && known {
			a.lang, a.langGiven = l, true
		}
	}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return hint.ExitOK
	}
	if errors.Is(err, host.ErrInterrupted) {
		err = cancelled()
	}
	a.complain(err)
	return hint.ExitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "foyer",
		Short:         hint.T("Your own server at home: it installs, watches and repairs itself", "Votre serveur chez vous : il s'installe, se surveille et se répare lui-même").In(a.lang),
		Version:       version,
		Args:          usage(a, cobra.NoArgs),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.plain {
				a.ttyInstead()
			}
			if !a.atTerminal() && !a.plain {
				return cmd.Help()
			}
			atWork := installing()
			named := a.runDir != config.SystemRun // as that of `foyer try`
			if installed() && !atWork && cutOffInstall(workerDir, atWork) == nil || named {
				if a.onTerminal() {
					return dashboard(cmd.Context(), a)
				}
				return a.status(cmd.Context())
			}
			return a.install(cmd.Context(), installFlags{})
		},
	}
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		a.named = cmd.Flags().Changed("settings") && cmd.Name() != "serve" // its supervisor names what it has read
	}
	root.SetVersionTemplate("foyer {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrongUse(verbatim(err)) })
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, hint.T("answer with one JSON object", "répondre par un objet JSON").In(a.lang))
	f.BoolVar(&a.plain, "plain", a.getenv("ACCESSIBLE") != "", hint.T("no screens: one line at a time", "sans écrans : une ligne à la fois").In(a.lang))
	f.String("lang", string(a.lang), hint.T("language: en or fr", "langue : en ou fr").In(a.lang))
	f.StringVar(&a.settings, "settings", config.SystemFile, hint.T("settings file", "fichier de réglages").In(a.lang))
	f.StringVar(&a.runDir, "run", or(a.getenv("FOYER_RUN"), config.SystemRun), hint.T("folder of the running Foyer's sockets", "dossier des sockets du Foyer qui tourne").In(a.lang))
	root.AddCommand(a.installCmd(), a.uninstallCmd(), a.statusCmd(), a.doctorCmd(), a.logsCmd(), a.checkCmd(), a.usageCmd(), a.jobsCmd(), a.supportCmd(), recorderCmd(a), a.claimCmd(), backupCmd(a), a.restoreCmd(), drillCmd(a), a.settingsCmd(), a.changeCmd(), a.trustCmd(), a.proxyCmd(), a.tryCmd(), a.superviseCmd(), a.serveCmd(), a.helperCmd(), a.loadCmd())
	return root
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// usage makes cobra's complaint about arguments one of ours.
func usage(_ *app, check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return wrongUse(verbatim(err))
		}
		return nil
	}
}

// apart is args for a command some of whose flags do not go together: no two of a group, which
// is their names with blanks between them.
func apart(args cobra.PositionalArgs, groups ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		for _, group := range groups {
			set := slices.DeleteFunc(strings.Fields(group), func(name string) bool { return !cmd.Flags().Changed(name) })
			if len(set) > 1 {
				return wrongUse(hint.T("--%s and --%s do not go together", "--%s et --%s ne vont pas ensemble", set[0], set[1]))
			}
		}
		return args(cmd, given)
	}
}

// verbatim is what the command-line library says, in its own words.
func verbatim(err error) hint.Text { return hint.Verbatim(err.Error()) }

func wrongUse(why hint.Text) error {
	return hint.New("usage", hint.T("This command is not written right: %s.", "Cette commande n'est pas bien écrite : %s.", why), hint.Text{},
		hint.T("`foyer --help` shows how.", "`foyer --help` montre comment.")).Exits(hint.ExitUsage)
}

// loadSettings reads the settings file, which may be a pipe, and the environment. One that
// somebody named has to be there; that of an installed Foyer need not.
func (a *app) loadSettings(ctx context.Context, environ []string) (*config.Settings, error) {
	if _, err := os.Lstat(a.settings); a.named && a.settings != "" && a.settings != config.SystemFile && errors.Is(err, fs.ErrNotExist) {
		return nil, hint.New("settings-unreadable", hint.T("There is no file %s.", "Il n'y a pas de fichier %s.", a.settings), hint.Text{},
			hint.T("Name the file that holds the settings, or leave --settings out.", "Indiquez le fichier des réglages, ou retirez --settings.")).Because(err).Exits(hint.ExitUsage)
	}
	return host.Interruptible(ctx, func() (*config.Settings, error) { return config.Load(a.settings, environ) })
}

// installed reports whether a Foyer is installed on this machine.
func installed() bool {
	_, err := os.Lstat(config.SystemOpt + "/current")
	return err == nil
}
