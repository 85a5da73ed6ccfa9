// Command wizard stands for the part of a supervisor that knows what other answers to the
// wizard's questions mean, for tests of the pages: with the product's own questions and plans,
// of the settings of a server at home.
//
// It answers each line on its standard input, the new answers as JSON, with a line: the
// questions, and the plan or what is wrong. Nothing is changed.
//
// Used by packaging/browser.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strconv"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/report"
)

type answer struct {
	Questions []report.Question  `json:"questions"`
	Plan      *report.ChangePlan `json:"plan,omitempty"`
	Wrong     *report.Problem    `json:"wrong,omitempty"`
}

func main() {
	today := config.Default()
	if err := today.Set("https_port", os.Args[1], ""); err != nil {
		log.Fatalf("cannot use port %s: %v", strconv.Quote(os.Args[1]), err)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for in.More() {
		var values map[string]string
		if err := in.Decode(&values); err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(of(today, values)); err != nil {
			log.Fatal(err)
		}
	}
}

func of(today *config.Settings, values map[string]string) (a answer) {
	var err error
	if a.Questions, err = installer.ChangeQuestions(today, values); err == nil {
		var plan report.ChangePlan
		plan, _, err = installer.PlanChange(today, values)
		a.Plan = &plan
	}
	if err != nil {
		a.Plan, a.Wrong = nil, report.ProblemOf(err)
	}
	return a
}
