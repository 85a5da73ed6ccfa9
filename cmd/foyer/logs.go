package main

import (
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/control"
)

func (a *app) logsCmd() *cobra.Command {
	var lines int
	var follow bool
	cmd := &cobra.Command{
		Use: "logs", Args: usage(a, cobra.NoArgs),
		Short: hint.T("What Foyer wrote down lately", "Ce que Foyer a noté récemment").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 1 || lines > 10000 {
				return wrongUse(hint.T("--lines %d: a number from 1 to 10000 is needed", "--lines %d : il faut un nombre de 1 à 10000", lines))
			}
			if journalctl, err := exec.LookPath("journalctl"); err == nil && a.runDir == config.SystemRun && installed() {
				if os.Geteuid() > 0 {
					return needRoot()
				}
				args := []string{"-u", "foyer.service", "-n", strconv.Itoa(lines), "--no-pager", "-o", "short-iso"}
				if a.json {
					args[len(args)-1] = "json"
				}
				if follow {
					args = append(args, "-f")
				}
				j := exec.CommandContext(cmd.Context(), journalctl, args...)
				j.Stdout, j.Stderr = a.out, a.err
				err := j.Run()
				if cmd.Context().Err() != nil { // Ctrl-C ends --follow
					return nil
				}
				return err
			}
			if follow {
				return wrongUse(hint.T("--follow works where systemd keeps the log", "--follow marche là où systemd tient le journal"))
			}
			newest, err := control.Dial(a.runDir).Log(cmd.Context(), lines)
			if err != nil {
				return err
			}
			if a.json {
				a.printJSON(newest)
				return nil
			}
			for _, l := range newest {
				line(a.out, l)
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&lines, "lines", "n", 100, hint.T("how many lines", "combien de lignes").In(a.lang))
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, hint.T("go on showing new lines", "continuer à montrer les nouvelles lignes").In(a.lang))
	return cmd
}

func needRoot() error {
	return hint.New("need-root", hint.T("This needs the administrator's rights.", "Il faut les droits d'administrateur."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Put sudo in front of the command.", "Mettez sudo devant la commande.")).Exits(hint.ExitNeedRoot)
}
