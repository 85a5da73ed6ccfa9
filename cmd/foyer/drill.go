package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/drill"
)

// drillCmd restores the newest backup to see that it can be restored: a process of its own,
// which need not be able to open anything but what it is given (docs/backups.md#the-drill).
func drillCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "drill DIR", Hidden: true, Args: usage(a, cobra.ExactArgs(1)),
		Short: hint.T("Restore the newest backup to see that it can be restored; started by the supervisor", "Restaurer la dernière sauvegarde pour vérifier que c'est possible ; lancé par le superviseur").In(a.lang),
		RunE:  func(cmd *cobra.Command, args []string) error { return drilling{a}.run(cmd.Context(), args[0]) },
	}
}

// drilling is a run of the command that makes a drill.
type drilling struct{ *app }

func (a drilling) run(ctx context.Context, dir string) error {
	if err := host.NoCoreFiles(); err != nil {
		return err
	}
	// The path of a socket is short, and that of the folder may not be.
	if err := os.Chdir(dir); err != nil {
		return hint.New("drill-none", hint.T("There is no folder %s to make a restore drill in.", "Il n'y a pas de dossier %s où faire un essai de restauration.", dir), hint.Text{},
			hint.T("Nothing: Foyer asks for a drill by itself when it is time.", "Rien : Foyer demande un essai de lui-même le moment venu.")).Because(err)
	}
	out, err := a.in(".").Run(ctx)
	if err != nil {
		return err
	}
	if out.Problem != nil {
		return out.Problem.Err()
	}
	if a.json {
		a.printJSON(out)
		return nil
	}
	p := out.Proven
	a.say(hint.T("The backup of %s was restored: %d records, %d accounts, %d attachments; a client read %d lists.", "La sauvegarde du %s a été restaurée : %d enregistrements, %d comptes, %d pièces jointes ; un client a lu %d listes.", clock(p.Moment), p.Records, p.People, p.Attachments, p.Lists))
	return nil
}

// in is a drill in a folder, with the programs of this one.
func (a drilling) in(dir string) *drill.Drill {
	child := *a.app
	child.environ = plainEnvironment(a.environ)
	loads := restoring{typing: typing{app: &child}}
	return &drill.Drill{
		Dir: dir, Version: version, Schema: storage.Schema(), Log: a.logger(a.err),
		Load: loads.load, Held: heldAttachments, Serve: drilling{&child}.serve,
		Bring: func(ctx context.Context, from drill.Contents, data string, held []backup.Attachment) (int, error) {
			return bringHeld(ctx, from, data, held)
		},
	}
}

// plainEnvironment is an environment without what settings are read from: those of the server
// would have a drill open its data, or its database on another machine.
func plainEnvironment(environ []string) []string {
	passed := []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TMP", "TEMP", "SYSTEMROOT", "GOMEMLIMIT"}
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(passed, strings.ToUpper(name))
	})
}

// restoredSettings are those of the server of a drill beside its folder: whoever can reach it may
// read everything, and nobody change anything. The plugins are those that keep something, and so
// may have. With one client it has no use for the memory by which a server of many is faster.
var restoredSettings = []string{
	"GOGC=50",
	"KINTO_INCLUDES=kinto.plugins.accounts kinto.plugins.history kinto_attachment",
	"KINTO_READONLY=true",
	"KINTO_BUCKET_READ_PRINCIPALS=system.Everyone",
	"KINTO_COLLECTION_READ_PRINCIPALS=system.Everyone",
	"KINTO_GROUP_READ_PRINCIPALS=system.Everyone",
	"KINTO_RECORD_READ_PRINCIPALS=system.Everyone",
	"KINTO_HISTORY_READ_PRINCIPALS=system.Everyone",
	"KINTO_ACCOUNT_READ_PRINCIPALS=system.Everyone",
}

// serve starts the server of a drill: `foyer serve`, with plain HTTP on a unix socket and
// nowhere else. It ends with its standard input, and so with this process, however that ends.
func (a drilling) serve(ctx context.Context, data, socket string) (stop func(wrong error) error, err error) {
	exe, err := host.Program()
	if err != nil {
		return nil, err
	}
	data, err = filepath.Abs(data)
	if err != nil {
		return nil, err
	}
	l, err := host.Listen(host.HTTP, "unix", socket)
	if err != nil {
		return nil, err
	}
	listeners := []host.Listener{l}
	defer host.Close(listeners)
	none := filepath.Join(filepath.Dir(data), "none")
	cmd := exec.CommandContext(ctx, exe, "serve", "--plain-http", "--settings", none+".toml", "--run", none)
	cmd.Args[0] = "foyer" // whatever the file is called
	cmd.Env = slices.Concat(a.environ, restoredSettings, []string{"FOYER_DATA=" + data})
	said := &lastWords{}
	cmd.Stderr = said
	hand, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	passed, err := host.Pass(cmd, listeners)
	if err != nil {
		return nil, err
	}
	err = cmd.Start()
	passed()
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	died := func(wrong, err error) error {
		return errors.Join(wrong, fmt.Errorf("the server ended by itself (%v): %s", err, said))
	}
	return func(wrong error) error {
		defer hand.Close() //nolint:errcheck // nothing is written to it
		select {
		case err := <-ended:
			return died(wrong, err)
		default:
		}
		if wrong != nil { // it may be about to end, which is why
			select {
			case err := <-ended:
				return died(wrong, err)
			case <-time.After(300 * time.Millisecond):
			}
		}
		cmd.Process.Kill() //nolint:errcheck // it may have ended by itself meanwhile
		<-ended
		return wrong
	}, nil
}

// lastWords is the end of what a process has said.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

const lastBytes = 2 << 10

func (t *lastWords) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-lastBytes):]
	return len(p), nil
}

func (t *lastWords) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
