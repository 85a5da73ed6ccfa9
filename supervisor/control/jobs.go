package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Ask is the body of a request for a job, and, with the cookie alone, of one to cancel it.
type Ask struct {
	Kind string            `json:"kind,omitempty"`
	Args map[string]string `json:"args,omitempty"`
	// Cookie is that of the pages of the owner who asks, when a page does.
	Cookie string `json:"cookie,omitempty"`
}

// jobs adds the ways to jobs.
func (d *door) jobs(mux *http.ServeMux) {
	one := func(pattern string, f func(r *http.Request) (job.Record, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			record, err := f(r)
			if err != nil {
				refuse(w, http.StatusConflict, err)
				return
			}
			answer(w, hint.Clean(record))
		})
	}
	all := d.a.Jobs
	mux.HandleFunc("GET /jobs", func(w http.ResponseWriter, _ *http.Request) { answer(w, hint.Clean(all().List())) })
	mux.HandleFunc("GET /jobs/kinds", func(w http.ResponseWriter, _ *http.Request) { answer(w, all().Kinds()) })
	one("GET /jobs/{id}", func(r *http.Request) (job.Record, error) { return all().Get(r.PathValue("id")) })
	one("POST /jobs", func(r *http.Request) (job.Record, error) {
		var ask Ask
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			return job.Record{}, malformed(err)
		}
		by, err := d.asker(r, ask.Cookie)
		if err != nil {
			return job.Record{}, err
		}
		return d.a.Start(ask.Kind, ask.Args, by)
	})
	one("DELETE /jobs/{id}", func(r *http.Request) (job.Record, error) {
		var ask Ask
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil && !errors.Is(err, io.EOF) {
			return job.Record{}, malformed(err)
		}
		by, err := d.asker(r, ask.Cookie)
		if err != nil {
			return job.Record{}, err
		}
		return d.a.Cancel(r.PathValue("id"), by)
	})
	mux.HandleFunc("GET /jobs/{id}/events", func(w http.ResponseWriter, r *http.Request) {
		stream := http.NewResponseController(w)
		if err := stream.SetReadDeadline(time.Time{}); err != nil { // it lasts as long as the job
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		if _, err := all().Get(r.PathValue("id")); err != nil {
			refuse(w, http.StatusConflict, err)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := json.NewEncoder(w)
		all().Follow(r.Context(), r.PathValue("id"), func(record job.Record) error { //nolint:errcheck // whoever asked has gone, or has seen its end
			return errors.Join(out.Encode(hint.Clean(record)), stream.Flush())
		})
	})
}

func malformed(err error) error {
	return hint.New("job-malformed", hint.T("What job is wanted cannot be read.", "La tâche demandée est illisible."), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.Text{}).Because(err)
}

// Jobs asks for all jobs there are records of, the newest first.
func (c *Client) Jobs(ctx context.Context) ([]job.Record, error) {
	return ask[[]job.Record](ctx, c, http.MethodGet, "/jobs")
}

// StartJob asks for a job; where the same waits or runs already, that is the answer.
func (c *Client) StartJob(ctx context.Context, kind string, args map[string]string) (job.Record, error) {
	return askWith[job.Record](ctx, c, http.MethodPost, "/jobs", Ask{Kind: kind, Args: args})
}

// StartJobFor asks for a job for the owner whose cookie of the pages this is: it may be one
// that pages may start (job-not-by-page, owners-only, signin-again).
func (c *Client) StartJobFor(ctx context.Context, kind string, args map[string]string, cookie string) (job.Record, error) {
	return askWith[job.Record](ctx, c, http.MethodPost, "/jobs", Ask{kind, args, cookie})
}

// JobKinds asks what jobs there are.
func (c *Client) JobKinds(ctx context.Context) ([]report.JobKind, error) {
	return ask[[]report.JobKind](ctx, c, http.MethodGet, "/jobs/kinds")
}

// Job asks for the record of a job.
func (c *Client) Job(ctx context.Context, id string) (job.Record, error) {
	return ask[job.Record](ctx, c, http.MethodGet, "/jobs/"+url.PathEscape(id))
}

// CancelJob has a job end soon.
func (c *Client) CancelJob(ctx context.Context, id string) (job.Record, error) {
	return ask[job.Record](ctx, c, http.MethodDelete, "/jobs/"+url.PathEscape(id))
}

// CancelJobFor is CancelJob for the owner whose cookie of the pages this is.
func (c *Client) CancelJobFor(ctx context.Context, id, cookie string) (job.Record, error) {
	return askWith[job.Record](ctx, c, http.MethodDelete, "/jobs/"+url.PathEscape(id), Ask{Cookie: cookie})
}

// FollowJob calls f with a job's record as it is and whenever it changes, and returns the
// last one when the job has ended. It takes as long as the job, or ctx.
func (c *Client) FollowJob(ctx context.Context, id string, f func(job.Record)) (last job.Record, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://control/jobs/"+url.PathEscape(id)+"/events", nil)
	if err != nil {
		return last, err
	}
	resp, err := (&http.Client{Transport: c.http.Transport}).Do(req) // without its time limit
	if err != nil {
		return last, notAnswering(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err != nil {
			return last, fmt.Errorf("cannot read the supervisor's answer: %w", err)
		}
		return last, refused(resp.Status, body)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r job.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return last, fmt.Errorf("cannot read the supervisor's answer: %w", err)
		}
		last = hint.Clean(r)
		f(last)
		if last.State.Ended() {
			return last, nil
		}
	}
	if err := lines.Err(); err != nil {
		return last, fmt.Errorf("cannot read the supervisor's answer: %w", err)
	}
	return last, hint.New("not-running",
		hint.T("Foyer was stopped, or started anew, meanwhile.", "Foyer a été arrêté, ou relancé, entre-temps."), hint.T("Jobs go on when it runs, or are marked as cut off.", "Les tâches reprennent quand il tourne, ou sont notées comme interrompues."),
		hint.T("`foyer jobs` shows them.", "`foyer jobs` les montre."))
}
