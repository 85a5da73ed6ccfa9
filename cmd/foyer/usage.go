package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor"
)

// usageCmd shows what takes room.
func (a *app) usageCmd() *cobra.Command {
	return &cobra.Command{
		Use: "usage", Args: usage(a, cobra.NoArgs),
		Short: hint.T("What takes room: by person, by bucket, by kind", "Ce qui prend de la place : par personne, par bucket, par genre").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			last, err := a.doJob(cmd.Context(), supervisor.JobUsage, nil)
			if err != nil || a.json {
				return err
			}
			var used report.Used
			if err := json.Unmarshal(last.Result, &used); err != nil {
				return fmt.Errorf("cannot read the result of the job: %w", err)
			}
			part := func(title hint.Text) { a.say(hint.T("\n%s", "\n%s", title)) }
			part(hint.T("People, with the files they attached", "Personnes, avec les fichiers qu'elles ont joints"))
			for _, p := range used.People {
				a.say(hint.T("  %s  %s, files %s", "  %s  %s, fichiers %s", p.Who, report.Size(uint64(p.Bytes)), report.Size(uint64(p.Files))))
			}
			part(hint.T("Buckets", "Buckets"))
			for _, b := range used.Buckets {
				a.say(hint.T("  %s  %s", "  %s  %s", b.Bucket, report.Size(uint64(b.Bytes))))
			}
			part(hint.T("Kinds of objects", "Genres d'objets"))
			for _, k := range used.Kinds {
				a.say(hint.T("  %s  %d, %s", "  %s  %d, %s", k.Kind, k.Objects, report.Size(uint64(k.Bytes))))
			}
			a.say(hint.T("\n%s free on the disk of the data.", "\n%s libres sur le disque des données.", report.Size(used.Free)))
			return nil
		},
	}
}
