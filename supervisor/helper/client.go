package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Client asks root's end, and follows what it does. The zero value finds nobody.
type Client struct {
	Requests string // folder that root's end looks into; empty: there is none
	State    string // root's folder
}

// FromEnvironment is the client of a service whose manager made the folder of requests
// for it (RUNTIME_DIRECTORY, systemd.exec(5)); it finds nobody where there is none.
func FromEnvironment(getenv func(string) string) Client {
	for dir := range strings.SplitSeq(getenv("RUNTIME_DIRECTORY"), ":") {
		if filepath.Base(dir) == Name {
			return Client{Requests: dir, State: "/var/lib/" + Name}
		}
	}
	return Client{}
}

// How long root's end is waited for.
const (
	silence  = time.Minute            // until it begins, and again until it begins anew
	taking   = 2 * time.Second        // for the record of a request that was perhaps taken a moment ago
	lookOver = 200 * time.Millisecond // between two looks at a record
)

// Do asks for a verb, and calls each with its record whenever that has changed, until it
// has ended. The same id is the same request: it is done once. With asked, that was perhaps
// before: what is not to be done twice, and of which there is no record, is not asked for
// again. When ctx ends the request is taken back if it was not begun; what root has begun
// goes on.
//
// The error is a *hint.Error where nobody answers (helper-missing, helper-silent), the
// arguments are not right, or it was not asked for again (job-ended); how it came out is in
// the record.
func (c Client) Do(ctx context.Context, v Verb, id string, args map[string]string, asked bool, each func(job.Record)) (job.Record, error) {
	return c.DoWith(ctx, v, id, args, nil, asked, each)
}

// DoWith is Do with values, for a verb that takes some. They are in the request alone.
func (c Client) DoWith(ctx context.Context, v Verb, id string, args, values map[string]string, asked bool, each func(job.Record)) (job.Record, error) {
	if err := v.Check(args); err != nil {
		return job.Record{}, err
	}
	if values != nil || !asked { // they are known no more when it is asked for again
		if err := v.CheckValues(values); err != nil {
			return job.Record{}, err
		}
	}
	if !c.There() {
		return job.Record{}, ErrMissing
	}
	f := follower{Client: c, verb: v, request: request{id, v.Name, args, values}, each: each}
	defer f.withdraw()
	if asked && !v.Again && !f.recorded(ctx) {
		return job.Record{}, errCutOff
	}
	if err := f.ask(); err != nil { // where there is a record, whoever begins sees to it that it comes to an end
		return job.Record{}, err
	}
	f.heard = time.Now()
	tick := time.NewTicker(lookOver)
	defer tick.Stop()
	for {
		if r, ended, err := f.look(); ended || err != nil {
			return r, err
		}
		select {
		case <-ctx.Done():
			return job.Record{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// There reports whether there is a folder for requests. It asks the file system, in /run.
func (c Client) There() bool {
	if c.Requests == "" {
		return false
	}
	fi, err := os.Stat(c.Requests)
	return err == nil && fi.IsDir()
}

var (
	// ErrMissing: nobody does what takes root here.
	ErrMissing = hint.New("helper-missing",
		hint.T("Nothing on this machine does for Foyer what takes the administrator's rights.", "Rien sur cette machine ne fait pour Foyer ce qui demande les droits d'administrateur."),
		hint.T("Nothing was begun.", "Rien n'a été commencé."),
		hint.T("With systemd, `sudo foyer install` sets that up; elsewhere it has to be done by hand.", "Avec systemd, `sudo foyer install` le met en place ; ailleurs, il faut le faire à la main."))
	errSilent = hint.New("helper-silent",
		hint.T("The part of Foyer that has the administrator's rights does not answer.", "La partie de Foyer qui a les droits d'administrateur ne répond pas."),
		hint.T("The request was taken back.", "La demande a été retirée."),
		hint.T("`systemctl status foyer-helper.path foyer-helper.service` says more.", "`systemctl status foyer-helper.path foyer-helper.service` en dit plus."))
	errCutOff = hint.New("job-ended",
		hint.T("Foyer was cut off while it asked for that.", "Foyer a été interrompu en le demandant."),
		hint.T("It was not asked for again.", "Cela n'a pas été redemandé."), hint.T("Ask again if you still want it.", "Redemandez-le si vous le voulez toujours."))
)

// follower is one Do at work.
type follower struct {
	Client
	verb    Verb
	request request
	each    func(job.Record)
	last    string    // the record as it was seen
	began   time.Time // as the record says
	changed time.Time // the record was seen to be another
	heard   time.Time // something happened
}

func (f *follower) path() string { return filepath.Join(f.Requests, f.request.file()) }

// recorded reports whether there is a record, or is one soon.
func (f *follower) recorded(ctx context.Context) bool {
	for end := time.Now().Add(taking); ; {
		if _, err := f.read(); err == nil {
			return true
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return false
		}
		time.Sleep(lookOver)
	}
}

// ask writes the request. The other end may throw away a file that is not whole yet.
func (f *follower) ask() (err error) {
	text, err := json.Marshal(f.request)
	if err != nil {
		return err
	}
	for range 3 {
		if err = atomicfile.Write(f.path(), append(text, '\n'), 0o600); err == nil {
			return nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) && !f.There() {
		return ErrMissing
	}
	return fmt.Errorf("cannot ask for it: %w", err)
}

// withdraw takes back a request that was not taken.
func (f *follower) withdraw() {
	os.Remove(f.path()) //nolint:errcheck // most often it was taken
}

func (f *follower) read() ([]byte, error) {
	return os.ReadFile(filepath.Join(f.State, "jobs", file(f.request.ID)))
}

// look looks at the record.
func (f *follower) look() (r job.Record, ended bool, err error) {
	text, err := f.read()
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err == nil && string(text) != f.last {
		f.last, f.began, f.heard, f.changed = string(text), r.Started, time.Now(), time.Now()
		f.request.Values = nil // root has them
		f.each(r)
	}
	quiet := time.Since(f.heard) > silence
	switch {
	case err == nil && r.State == job.CutOff && f.verb.Again && r.Starts < mostStarts && !quiet:
		return r, false, f.askOnce()
	case err == nil && r.State.Ended():
		return r, true, nil
	case !quiet:
		return r, false, nil
	case f.last == "" || time.Since(f.waited()) > f.lasts()+silence: // it never began, or was cut off and never began anew
		return r, false, errSilent
	}
	f.heard = time.Now()
	return r, false, f.ask() // it is at work for long, or cut off: whoever begins anew sees to that
}

// waited is since when something should have come of it, and lasts how long that may take. A
// trial is told of as it goes: it lasts until somebody has thought about it, and as long again
// as going back takes.
func (f *follower) waited() time.Time {
	if f.verb.Trial {
		return f.changed
	}
	return f.began
}

func (f *follower) lasts() time.Duration {
	if f.verb.Trial {
		return f.verb.Within + longestTrial
	}
	return f.verb.Within
}

// askOnce asks unless the request still lies there.
func (f *follower) askOnce() error {
	if _, err := os.Lstat(f.path()); err == nil {
		return nil
	}
	return f.ask()
}
