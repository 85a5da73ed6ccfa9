package installer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// healthyStep waits until the server answers, asked as a visitor would ask.
type healthyStep struct{ m *machine }

func (healthyStep) ID() string { return "healthy" }

// Title implements step.Step.
func (healthyStep) Title() hint.Text {
	return hint.T("Wait until it answers", "Attendre sa réponse")
}

// lastLines is how many lines of the log are shown when it does not.
const lastLines = 20

func (s healthyStep) visit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return s.m.cfg.Facts.Visit(ctx, s.visitor())
}

// visitor calls where people come in: by HTTPS, or, where a proxy has that, as the proxy.
func (s healthyStep) visitor() visit.Visitor {
	set := *s.m.settings
	set.Data = s.m.dataDir()
	if site.Of(&set).BehindProxy() {
		return visit.Of(&set, set.Proxy.Listen, false)
	}
	return visit.Of(&set, net.JoinHostPort("::", strconv.Itoa(set.HTTPSPort)), true)
}

func (s healthyStep) Check(ctx context.Context) ([]step.Change, error) {
	if s.visit(ctx) == nil {
		return nil, nil
	}
	return []step.Change{{Op: step.Made, Kind: step.KindCheck, What: "https://" + s.m.settings.Name + ".local/", Why: hint.T(
		"is waited for until it answers, as a visitor would see it", "est attendu jusqu'à ce qu'il réponde, comme le verrait un visiteur")}}, nil
}

func (s healthyStep) Apply(ctx context.Context) error {
	err := s.m.waitWell(ctx, s.m.cfg.patience.healthy, func(ctx context.Context) (bool, error) {
		err := s.visit(ctx)
		return err == nil, err
	})
	if err != nil {
		return s.m.notWell(ctx, err)
	}
	return nil
}

func (healthyStep) Undo(context.Context, []step.Change, bool) error { return nil }

// waitWell is waitFor, but that data which are not there are not waited for.
func (m *machine) waitWell(ctx context.Context, atMost time.Duration, ok func(context.Context) (bool, error)) error {
	return waitFor(ctx, atMost, m.cfg.patience.pause, func(ctx context.Context) (bool, error) {
		done, err := ok(ctx)
		if !done {
			if lost := m.cfg.Lost(ctx); lost != nil {
				return true, lost
			}
		}
		return done, err
	})
}

// notWell says what the log says when the server does not come up.
func (m *machine) notWell(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if lost := hint.Find(err); lost != nil {
		return lost
	}
	if st, serr := m.service.State(ctx); serr == nil {
		err = fmt.Errorf("%w (the service is %s, %s, result %s)", err, st.Active, st.Sub, st.Result)
	}
	do := hint.T("`sudo foyer logs` shows more.", "`sudo foyer logs` en montre davantage.")
	what := hint.T("Foyer was started and does not answer.", "Foyer a été lancé et ne répond pas.")
	if lines := m.service.Log(ctx, lastLines); len(lines) > 0 {
		what = hint.T("Foyer was started and does not answer. The end of its log:\n%s", "Foyer a été lancé et ne répond pas. La fin de son journal :\n%s", hint.Block(lines))
	}
	return hint.New("not-healthy", what, hint.Text{}, do).Because(err)
}
