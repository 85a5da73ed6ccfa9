package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/tui"
)

type installFlags struct {
	answers                           string
	yes, dryRun, print, replaceEdited bool
	given                             map[string]string // answers given as flags

	record   bool   // how it goes is kept as a record, for the wizard that began it
	once     []byte // answers of standard input or a pipe, which can be read once only; then answers is "-"
	password string // of the owner, from wherever it was
}

// readOnce reads answers that can be read once only, for all who want them.
func (f *installFlags) readOnce(ctx context.Context, a *app) error {
	fi, err := os.Stat(f.answers)
	if f.answers == "" || f.answers != "-" && (err != nil || fi.Mode().IsRegular()) {
		return nil
	}
	data, err := host.Interruptible(ctx, func() ([]byte, error) { return installer.ReadAnswers(f.answers, a.in) })
	f.answers, f.once = "-", data
	return err
}

// stdin is what answers from "-" are.
func (f *installFlags) stdin() io.Reader { return bytes.NewReader(f.once) }

// loadAnswers gathers answers (installer.LoadAnswers); the file, and that of the password,
// may be pipes.
func loadAnswers(ctx context.Context, path string, stdin io.Reader, environ []string, given map[string]string) (*installer.Answers, error) {
	return host.Interruptible(ctx, func() (*installer.Answers, error) { return installer.LoadAnswers(path, stdin, environ, given) })
}

func (a *app) installCmd() *cobra.Command {
	f := installFlags{given: map[string]string{}}
	cmd := &cobra.Command{
		Use: "install", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Install Foyer on this machine", "Installer Foyer sur cette machine").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, k := range installer.AnswerKeys {
				if flag := cmd.Flags().Lookup(k.Flag()); flag != nil && flag.Changed {
					f.given[k.Name] = flag.Value.String()
				}
			}
			return a.install(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.answers, "answers", "", hint.T("file with the answers (-: standard input)", "fichier de réponses (- : entrée standard)").In(a.lang))
	flags.BoolVar(&f.yes, "yes", false, hint.T("do not ask", "ne rien demander").In(a.lang))
	flags.BoolVar(&f.dryRun, "dry-run", false, hint.T("show the plan and change nothing", "montrer le plan et ne rien changer").In(a.lang))
	flags.BoolVar(&f.print, "print-answers", false, hint.T("print the answers as a file for --answers, and change nothing", "écrire les réponses en fichier pour --answers, sans rien changer").In(a.lang))
	flags.BoolVar(&f.replaceEdited, "replace-edited", false, hint.T("write files that were edited by hand anew; the edited ones are kept as NAME.edited", "réécrire les fichiers modifiés à la main ; ceux-ci restent en NOM.edited").In(a.lang))
	flags.BoolVar(&f.record, "record", false, "")
	flags.MarkHidden("record") //nolint:errcheck // it is there
	for _, k := range installer.AnswerKeys {
		if k.Flag() != "" {
			flags.String(k.Flag(), "", k.Means.In(a.lang))
		}
	}
	return cmd
}

func (a *app) install(ctx context.Context, f installFlags) (err error) {
	progress, came := progressLines(ctx, a), installResult{}
	if f.record {
		atomicfile.Borrow()
		rec, rerr := readInstallRecord(workerDir)
		if rerr != nil {
			return fmt.Errorf("cannot find the record of the install: %w", rerr)
		}
		if rerr := rec.begin(); rerr != nil {
			return rerr
		}
		lines := progress
		progress = func(e step.Event) { rec.step(e); lines(e) }
		defer func() { err = errors.Join(err, rec.end(came, err)) }()
	}
	if err := f.readOnce(ctx, a); err != nil {
		return err
	}
	answers, err := loadAnswers(ctx, f.answers, f.stdin(), a.environ, f.given)
	if err != nil {
		return err
	}
	f.password = answers.OwnerPassword
	for _, n := range answers.Notices() {
		line(a.err, n.Text().In(a.lang))
	}
	if l, ok := hint.ParseLang(answers.Language); ok {
		a.lang = l
	}
	for _, secret := range []string{"FOYER_OWNER_PASSWORD", "FOYER_DNS_CREDENTIALS"} { // the commands the steps run do not need them
		os.Unsetenv(secret)
	}
	if f.print {
		return answers.Write(a.out)
	}
	if !f.yes && !f.dryRun {
		if !a.plain {
			a.ttyInstead()
		}
		if a.json || !a.plain && !a.atTerminal() {
			return hint.New("yes-needed", hint.T("Without a terminal nobody can be asked.", "Sans terminal, personne ne peut répondre."), hint.T("Nothing was changed.", "Rien n'a été changé."),
				hint.T("Add --yes to install, --plain to be asked line by line, or --dry-run to see the plan.", "Ajoutez --yes pour installer, --plain pour des questions ligne par ligne, ou --dry-run pour voir le plan.")).Exits(hint.ExitUsage)
		}
		if os.Geteuid() > 0 {
			return needRoot()
		}
		if err := onTrial(ctx); err != nil { // who is asked in vain is told so before the first question
			return err
		}
		return wizard(ctx, a, f, answers)
	}
	in, err := newInstaller(answers, f.replaceEdited)
	if err != nil {
		return err
	}
	plan, err := in.Plan(ctx)
	if err != nil {
		return err
	}
	if f.dryRun {
		return showPlan(a, plan)
	}
	if os.Geteuid() > 0 {
		return needRoot()
	}
	res, err := in.Apply(ctx, progress)
	if err != nil {
		return err
	}
	if came = (installResult{Result: res, Plan: plan.Changes}); !f.record {
		os.RemoveAll(workerDir) //nolint:errcheck // of one that was cut off before; it is gone at the next start of the machine
	}
	return showResult(a, res, plan)
}

func cancelled() error {
	return hint.New("cancelled", hint.T("Stopped.", "Arrêté."), hint.T("Nothing was changed.", "Rien n'a été changé."), hint.Text{}).Because(tui.ErrCancelled)
}

// newInstaller wires one for this machine.
func newInstaller(answers *installer.Answers, replaceEdited bool) (*installer.Installer, error) {
	exe, err := host.Program()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program's file: %w", err)
	}
	return installer.New(installer.Config{
		Answers: answers, Root: "/", Executable: exe, Version: version, Runner: host.Exec{},
		Claimed: claimedNow, Lost: lostNow, OnTrial: onTrial, ReplaceEdited: replaceEdited, Log: slog.New(slog.DiscardHandler),
	}), nil
}

// claimedNow asks the running Foyer whether it has an owner; running is false
// when there is none to ask.
func claimedNow(ctx context.Context) (claimed, running bool) {
	s, err := control.Dial(config.SystemRun).Status(ctx)
	return err == nil && s.Claimed, err == nil && s.Server.State == "healthy"
}

// lostNow asks the running Foyer whether it waits for data that are not there.
func lostNow(ctx context.Context) *hint.Error {
	s, err := control.Dial(config.SystemRun).Status(ctx)
	if err != nil || s.Server.State != "waiting" {
		return nil
	}
	for _, c := range s.Checks {
		if c.Code == "server" && c.Cause != "" {
			return hint.New(c.Cause, c.What, c.Did, c.Do)
		}
	}
	return nil
}

// progressLines shows the steps as they are done: a line each, or with --json one
// object each on standard error. FOYER_INSTALL_PAUSE_AFTER=STEP stands still after
// a step until interrupted, so that a test can cut the power right there.
func progressLines(ctx context.Context, a *app) func(step.Event) {
	pause := a.getenv("FOYER_INSTALL_PAUSE_AFTER")
	return func(e step.Event) {
		if a.json {
			json.NewEncoder(a.err).Encode(e) //nolint:errcheck // progress nobody reads
		} else if e.Kind == step.Done || e.Kind == step.Undone {
			a.printf("[%d/%d] %s … %s\n", e.N, e.Of, e.Title.In(a.lang), e.Word().In(a.lang))
		}
		if pause != "" && e.Step == pause && e.Kind == step.Done {
			json.NewEncoder(a.err).Encode(map[string]string{"event": "paused", "step": e.Step}) //nolint:errcheck // as above
			<-ctx.Done()
		}
	}
}

func showPlan(a *app, p installer.Plan) error {
	if a.json {
		a.printJSON(map[string]any{"steps": p.Steps, "plan": p.Changes, "notes": p.Notes, "changed": false})
		return nil
	}
	defer a.notes(p.Notes)
	if len(p.Changes) == 0 {
		a.say(nothingToDo())
		return nil
	}
	a.say(hint.T("Foyer will make these changes to this machine:", "Foyer fera ces changements sur cette machine :"))
	for _, c := range p.Changes {
		a.printf("  %s %-8s %s\n             %s\n", c.Op, c.KindText().In(a.lang), c.What, c.Why.In(a.lang))
	}
	return nil
}

// repaired reports whether a plan was that of a machine with a program in its place
// already, which a first install and another version do not have.
func repaired(p installer.Plan) bool {
	return !slices.ContainsFunc(p.Changes, func(c step.Change) bool { return c.Kind == step.KindUser || c.Kind == step.KindLink })
}

func nothingToDo() hint.Text {
	return hint.T("Foyer is installed already; there was nothing to change.", "Foyer est déjà installé ; il n'y avait rien à changer.")
}

func showResult(a *app, r installer.Result, p installer.Plan) error {
	if a.json {
		a.printJSON(map[string]any{"changed": r.Changed, "addresses": r.Addresses, "claim": r.ClaimCode, "owner": r.Owner, "plan": p.Changes, "notes": r.Notes})
		return nil
	}
	if !r.Changed {
		a.say(nothingToDo())
	} else if repaired(p) {
		a.say(hint.T("Foyer is repaired, and running.", "Foyer est réparé et tourne."))
	} else {
		a.say(hint.T("Foyer is installed and running.", "Foyer est installé et tourne."))
	}
	for _, address := range r.Addresses {
		a.printf("  %s\n", address)
	}
	switch {
	case r.ClaimCode != "":
		a.say(hint.T("Open one of these addresses and type the code %s within 24 hours to become its owner.", "Ouvrez une de ces adresses et tapez le code %s dans les 24 heures pour en devenir propriétaire.", r.ClaimCode))
	case r.Owner != "":
		a.say(hint.T("Its owner is %s.", "Son propriétaire est %s.", r.Owner))
	default:
		if claimed, running := claimedNow(context.Background()); running && !claimed {
			a.say(hint.T("It waits for its first owner: `sudo foyer claim` gives a code.", "Il attend son premier propriétaire : `sudo foyer claim` donne un code."))
		}
	}
	for _, c := range p.Changes {
		if c.Op == step.Edited {
			a.printf("! %s: %s\n", c.What, c.Why.In(a.lang))
		}
	}
	a.notes(r.Notes)
	return nil
}
