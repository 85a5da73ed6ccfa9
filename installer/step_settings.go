package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/internal/step"
)

// settingsStep writes the settings file once. From then on it belongs to the
// person: this step keeps it readable for the service, and what is in it changes only when
// somebody asks for it (ChangeSettings, EditSettings).
type settingsStep struct{ m *machine }

func (settingsStep) ID() string { return "settings" }

// Title implements step.Step.
func (settingsStep) Title() hint.Text {
	return hint.T("Settings", "Réglages")
}

func (s settingsStep) path() string { return s.m.path(config.SystemFile) }

// text is the file as the answers want it.
func (s settingsStep) text() []byte {
	lang, _ := hint.ParseLang(s.m.settings.Language)
	return s.m.settings.File(lang)
}

func (s settingsStep) Check(ctx context.Context) ([]step.Change, error) {
	c := step.Change{Kind: step.KindFile, What: s.path(), Stays: true}
	fi, err := os.Stat(s.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Op, c.SHA256 = step.Made, hexSum(s.text())
		c.Why = hint.T("your settings, each explained; yours to change", "vos réglages, chacun expliqué ; à vous de les changer")
		return []step.Change{c}, nil
	case err != nil:
		return nil, err
	}
	_, gid, ok, err := s.m.owner(ctx, config.SystemUser)
	if err != nil {
		return nil, err
	}
	if _, isGID := host.FileOwner(fi); ok && isGID == gid && fi.Mode().Perm()&0o040 != 0 {
		return nil, nil
	}
	c.Op, c.Before = step.Changed, fmt.Sprintf("%o", fi.Mode().Perm())
	c.Why = hint.T("the service must be able to read it; what it says stays", "le service doit pouvoir le lire ; son contenu reste")
	return []step.Change{c}, nil
}

func (s settingsStep) Apply(ctx context.Context) error {
	_, gid, ok, err := s.m.owner(ctx, config.SystemUser)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("there is no group %s", config.SystemUser))
	}
	err = safepath.OwnFile(s.path(), func(is safepath.Info) safepath.Info {
		return safepath.Info{UID: -1, GID: gid, Mode: is.Mode | 0o040}
	})
	s.m.gaveBack = true
	if errors.Is(err, fs.ErrNotExist) {
		return atomicfile.WriteAs(s.path(), s.text(), 0o640, s.m.rootUser.UID, gid)
	}
	return s.m.unfit(err)
}

// Undo removes the file, which is done only when everything goes, and what RestoreSettings
// kept of it. One that was there before us stays.
func (s settingsStep) Undo(_ context.Context, made []step.Change, _ bool) error {
	for _, c := range made {
		if c.Op == step.Made {
			if err := errors.Join(atomicfile.Remove(c.What), atomicfile.Remove(c.What+asideSuffix)); err != nil {
				return err
			}
		}
	}
	return nil
}
