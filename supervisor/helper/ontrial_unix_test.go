//go:build unix

package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/jsonlines"
	"github.com/foyer-server/foyer/internal/report"
)

// Others of root's are told what is on trial, until when, and what ends it.
func TestOthersAreToldWhatIsOnTrial(t *testing.T) {
	t.Attr("shows", "ground2")
	state := t.TempDir()
	if err := OnTrial(filepath.Join(state, "nowhere")); err != nil {
		t.Errorf("without a folder: %v", err)
	}
	if err := OnTrial(state); err != nil {
		t.Errorf("nothing is on trial: %v", err)
	}
	up := bootClock()()
	keep, soon, back := "foyer change --keep", "Try again in a moment", "is being taken back"
	for _, c := range []struct {
		name string
		is   trial
		says string
	}{
		{"it waits", trial{Stage: report.ChangeWaiting, Until: up + 10*time.Minute}, keep},
		{"its time is over", trial{Stage: report.ChangeWaiting, Until: up - time.Second}, back},
		{"the machine was restarted", trial{Stage: report.ChangeWaiting, Until: up + 2*longestTrial}, back},
		{"it is applied", trial{Stage: report.ChangeApplying}, soon},
		{"it is kept", trial{Stage: report.ChangeKept}, soon},
		{"it goes back", trial{Stage: report.ChangeGoingBack}, back},
		{"damaged", trial{}, back},
	} {
		c.is.V, c.is.ID, c.is.Verb = 1, id(1), VerbChangeSettings
		text, err := jsonlines.Append(nil, c.is)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(state, trialFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		e := hint.Find(OnTrial(state))
		if e == nil || e.Code != "change-under-way" {
			t.Errorf("%s: %v", c.name, e)
			continue
		}
		said := fmt.Sprint(e.What.EN, " ", e.Do.EN)
		for _, text := range []string{keep, soon, back} {
			if strings.Contains(said, text) != (text == c.says) {
				t.Errorf("%s: %s", c.name, said)
			}
		}
		if until := time.Now().Add(10 * time.Minute).Format("15:04"); c.says == keep && !strings.Contains(said, until) && !strings.Contains(said, time.Now().Add(9*time.Minute+55*time.Second).Format("15:04")) {
			t.Errorf("%s until %s: %s", c.name, until, said)
		}
	}
}
