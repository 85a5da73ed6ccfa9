package appliance

import (
	"context"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/report"
)

// changes answers the wizard's questions anew, by the settings file as it is.
type changes struct{ path string }

// Questions implements supervisor.Changes.
func (c changes) Questions(_ context.Context, values map[string]string) ([]report.Question, error) {
	today, err := config.Load(c.path, nil)
	if err != nil {
		return nil, err
	}
	return installer.ChangeQuestions(today, values)
}

// Plan implements supervisor.Changes.
func (c changes) Plan(_ context.Context, values map[string]string) (report.ChangePlan, error) {
	today, err := config.Load(c.path, nil)
	if err != nil {
		return report.ChangePlan{}, err
	}
	p, _, err := installer.PlanChange(today, values)
	return p, err
}
