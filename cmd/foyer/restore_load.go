package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/attachment"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup"
)

// load runs `foyer load` for a restore.
func (a *restoring) load(ctx context.Context, data string, notes time.Time, lines io.Reader) (*changelog.Summary, error) {
	exe, err := host.Program()
	if err != nil {
		return nil, err
	}
	args := []string{"load", data, "--restored", "--json", "--lang", string(a.lang), "--notes", strconv.FormatInt(notes.UnixMilli(), 10)}
	if !a.point.At.IsZero() {
		args = append(args, "--moment", strconv.FormatInt(a.point.At.UnixMilli(), 10))
	}
	if a.apps {
		args = append(args, "--app-passwords")
	}
	if a.named {
		args = append(args, "--settings", a.settings)
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Args[0] = "foyer" // whatever the file is called
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = lines, &out, &said, a.environ
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var failed struct{ Error, Message, Did, Do string }
	if err != nil {
		if json.Unmarshal(out.Bytes(), &failed) == nil && failed.Do != "" {
			failed = hint.Clean(failed)
			return nil, hint.New(failed.Error, hint.Verbatim(failed.Message), hint.Verbatim(failed.Did), hint.Verbatim(failed.Do)).Because(err)
		}
		return nil, fmt.Errorf("cannot load: %w: %.500s", err, bytes.TrimSpace(said.Bytes()))
	}
	var made loaded
	if err := json.Unmarshal(out.Bytes(), &made); err != nil || made.Summary == nil {
		return nil, fmt.Errorf("cannot tell what was loaded: %w", err)
	}
	return made.Summary, nil
}

// contents gives the contents of attachments.
type contents interface {
	Attachment(ctx context.Context, hash string, size int64) (io.ReadCloser, error)
}

// attachments is how the contents of attachments are brought back out of a backup.
func attachments(from contents) func(ctx context.Context, data string, told []backup.Attachment) (int, error) {
	return func(ctx context.Context, data string, told []backup.Attachment) (int, error) {
		return bringAttachments(ctx, from, data, told)
	}
}

// bringAttachments brings those contents into a folder of data that a record of its database
// refers to, and nothing in place of another.
func bringAttachments(ctx context.Context, from contents, data string, told []backup.Attachment) (n int, err error) {
	held, err := heldAttachments(ctx, data, told)
	if err != nil || len(held) == 0 {
		return 0, err
	}
	return bringHeld(ctx, from, data, held)
}

// heldAttachments are those of some contents that a record of a database refers to.
func heldAttachments(ctx context.Context, data string, told []backup.Attachment) (held []backup.Attachment, err error) {
	err = storage.Peek(ctx, filepath.Join(data, "data.db"), func(tx kinto.Reader) error {
		for _, one := range told {
			holds, err := tx.Holds(one.Hash)
			if err != nil {
				return err
			}
			if holds {
				held = append(held, one)
			}
		}
		return nil
	})
	return held, err
}

// bringHeld brings contents into a folder of data.
func bringHeld(ctx context.Context, from contents, data string, held []backup.Attachment) (n int, err error) {
	into, err := attachment.Open(filepath.Join(data, "attachments"))
	if err != nil {
		return 0, err
	}
	for _, one := range held {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		body, err := from.Attachment(ctx, one.Hash, one.Size)
		if err != nil {
			return n, err
		}
		put, err := into.Put(body, -1)
		if err = errors.Join(err, body.Close()); err != nil {
			return n, whyNotWritten(data, err)
		}
		if put.Hash != one.Hash {
			return n, hint.New("backup-damaged", hint.T("An attached file in the backup is not what it was.", "Un fichier joint de la sauvegarde n'est plus ce qu'il était."), hint.T("Nothing was restored.", "Rien n'a été restauré."),
				hint.T("Use another copy of the backup, or an earlier point in time.", "Utilisez une autre copie de la sauvegarde, ou un moment antérieur.")).Because(fmt.Errorf("%s came as %s", one.Hash, put.Hash))
		}
		n++
	}
	return n, nil
}
