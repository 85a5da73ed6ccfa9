package control

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Changes is what changes the answers to the wizard's questions (report.Change). Values are
// new answers, by the key of their question; the other ones stay as they are. Some are
// secrets: they are in no answer.
type Changes interface {
	Questions(ctx context.Context, values map[string]string) ([]report.Question, error)
	Plan(ctx context.Context, values map[string]string) (report.ChangePlan, error)
	// Begin begins the job that does it. The code confirms it, and is told this once.
	Begin(ctx context.Context, values map[string]string, by Asker) (r job.Record, code string, err error)
	// Keep confirms it: with the code where that is given, by the address at where that is.
	Keep(ctx context.Context, code, at string) (job.Record, error)
}

// askChange is the body of what is asked about changes.
type askChange struct {
	Values map[string]string `json:"values,omitempty"`
	Cookie string            `json:"cookie,omitempty"` // as in Ask
	Code   string            `json:"code,omitempty"`
	At     string            `json:"at,omitempty"`
}

// Changed is a change that was begun.
type Changed = report.Changed

// changes adds the ways to changes. To ask, the server needs the cookie of an owner. To
// confirm it needs none: the code is the proof that it is who asked, and the address by which
// they came that the change works. Who has a terminal of this machine needs neither.
func (d *door) changes(mux *http.ServeMux) {
	way := func(path string, f func(r *http.Request, ask askChange) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var ask askChange
			if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
				refuse(w, http.StatusConflict, malformed(nil)) // what it says of the body may quote a secret
				return
			}
			got, err := f(r, ask)
			if err != nil {
				refuse(w, http.StatusConflict, err)
				return
			}
			answer(w, got)
		})
	}
	way("/change/questions", func(r *http.Request, ask askChange) (any, error) {
		if _, err := d.asker(r, ask.Cookie); err != nil {
			return nil, err
		}
		questions, err := d.a.Changes().Questions(r.Context(), ask.Values)
		return hint.Clean(questions), err
	})
	way("/change/plan", func(r *http.Request, ask askChange) (any, error) {
		if _, err := d.asker(r, ask.Cookie); err != nil {
			return nil, err
		}
		plan, err := d.a.Changes().Plan(r.Context(), ask.Values)
		return hint.Clean(plan), err
	})
	way("/change", func(r *http.Request, ask askChange) (any, error) {
		by, err := d.asker(r, ask.Cookie)
		if err != nil {
			return nil, err
		}
		record, code, err := d.a.Changes().Begin(r.Context(), ask.Values, by)
		return Changed{Job: hint.Clean(record), Code: code}, err
	})
	way("/change/keep", func(r *http.Request, ask askChange) (any, error) {
		uid, err := peer(r)
		if err != nil {
			return nil, err
		}
		if d.isServer(uid) && (ask.Code == "" || ask.At == "") {
			return nil, needRoot()
		}
		record, err := d.a.Changes().Keep(r.Context(), ask.Code, ask.At)
		return hint.Clean(record), err
	})
}

// ChangeQuestions asks for the wizard's questions with today's answers, or those of values.
func (c *Client) ChangeQuestions(ctx context.Context, values map[string]string) ([]report.Question, error) {
	return c.ChangeQuestionsFor(ctx, values, "")
}

// ChangeQuestionsFor is ChangeQuestions for the owner whose cookie of the pages this is.
func (c *Client) ChangeQuestionsFor(ctx context.Context, values map[string]string, cookie string) ([]report.Question, error) {
	return askWith[[]report.Question](ctx, c, http.MethodPost, "/change/questions", askChange{Values: values, Cookie: cookie})
}

// ChangePlan asks what other answers come to.
func (c *Client) ChangePlan(ctx context.Context, values map[string]string) (report.ChangePlan, error) {
	return c.ChangePlanFor(ctx, values, "")
}

// ChangePlanFor is ChangePlan for the owner whose cookie of the pages this is.
func (c *Client) ChangePlanFor(ctx context.Context, values map[string]string, cookie string) (report.ChangePlan, error) {
	return askWith[report.ChangePlan](ctx, c, http.MethodPost, "/change/plan", askChange{Values: values, Cookie: cookie})
}

// Change has the answers changed, on trial: the job that does it goes back by itself unless
// it is confirmed, with the code of the answer. (change-under-way, change-nothing)
func (c *Client) Change(ctx context.Context, values map[string]string) (Changed, error) {
	return c.ChangeFor(ctx, values, "")
}

// ChangeFor is Change for the owner whose cookie of the pages this is, who has to have signed
// in lately (signin-again).
func (c *Client) ChangeFor(ctx context.Context, values map[string]string, cookie string) (Changed, error) {
	return askWith[Changed](ctx, c, http.MethodPost, "/change", askChange{Values: values, Cookie: cookie})
}

// KeepChange confirms the change under way. The server has to say the code, and the origin by
// which who confirms reached it, like https://192.168.1.7:8443; for the administrator both
// may be empty. (change-none, code-wrong, code-paused, change-elsewhere)
func (c *Client) KeepChange(ctx context.Context, code, at string) (job.Record, error) {
	return askWith[job.Record](ctx, c, http.MethodPost, "/change/keep", askChange{Code: code, At: at})
}
