//go:build !windows

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// atGate opens a gate and knocks at it.
func atGate(t *testing.T, g *gate) (k *toRoot, ctx context.Context, end func()) {
	t.Helper()
	cmd := exec.Command("none")
	_, end, err := g.open(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	k, ctx, err = newToRoot(t.Context(), "/media/stick", cmd.ExtraFiles[0], cmd.ExtraFiles[1])
	if err != nil {
		t.Fatal(err)
	}
	return k, ctx, end
}

// shelf is a target with some objects.
type shelf map[string]string

func (s shelf) Get(_ context.Context, name string, offset int64) (io.ReadCloser, error) {
	if name == "away" {
		return nil, hint.New("target-away", hint.T("It is away.", "Il est absent."), hint.Text{}, hint.Text{}).Because(target.ErrAway)
	}
	text, ok := s[name]
	if !ok {
		return nil, target.ErrNotFound
	}
	if name == "broken" {
		return io.NopCloser(io.MultiReader(strings.NewReader(text), failing{})), nil
	}
	return io.NopCloser(strings.NewReader(text[offset:])), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("it broke") }

func (s shelf) List(_ context.Context, under string, each func(target.Object) error) error {
	var names []string
	for n := range s {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if strings.HasPrefix(n, under) {
			if err := each(target.Object{Name: n, Size: int64(len(s[n]))}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s shelf) String() string { return "shelf" }

// Through the gate a target is what it is: its objects, several at once, and its errors.
func TestATargetThroughTheGate(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	at := shelf{"a/1": "one", "a/2": large, "b/1": "three", "broken": large}
	k, ctx, _ := atGate(t, &gate{at: at})
	var seen []target.Object
	if err := k.List(ctx, "a", func(o target.Object) error { seen = append(seen, o); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[1].Name != "a/2" || seen[1].Size != int64(len(large)) {
		t.Errorf("listed: %v", seen)
	}
	open := map[string]io.ReadCloser{}
	for name := range map[string]bool{"a/1": true, "a/2": true, "b/1": true} {
		r, err := k.Get(ctx, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		open[name] = r
	}
	for name, r := range open {
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, []byte(at[name][1:])) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		r.Close()
	}
	if _, err := k.Get(ctx, "none", 0); !errors.Is(err, target.ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
	if _, err := k.Get(ctx, "away", 0); !errors.Is(err, target.ErrAway) || hint.Find(err) == nil || hint.Find(err).Code != "target-away" {
		t.Errorf("what is away: %v", err)
	}
	r, err := k.Get(ctx, "broken", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err == nil {
		t.Errorf("what broke in the middle came as whole, with %d bytes", len(got))
	}
	if k.String() != "/media/stick" {
		t.Errorf("it is called %s", k)
	}
}

// What is asked of root is done, what fails is told, and the end of root is seen.
func TestRootThroughTheGate(t *testing.T) {
	t.Attr("shows", "backups")
	stops := 0
	g := &gate{why: hint.New("target-away", hint.T("No folder.", "Pas de dossier."), hint.Text{}, hint.Text{}), stop: func(context.Context) error {
		if stops++; stops > 1 {
			return hint.New("restore-running", hint.T("It runs.", "Il tourne."), hint.Text{}, hint.Text{})
		}
		return nil
	}}
	k, ctx, end := atGate(t, g)
	if err := k.Stop(ctx); err != nil {
		t.Error(err)
	}
	if e := hint.Find(k.Stop(ctx)); e == nil || e.Code != "restore-running" {
		t.Errorf("what cannot be stopped: %v", e)
	}
	if e := hint.Find(k.List(ctx, "", nil)); e == nil || e.Code != "target-away" {
		t.Errorf("where there is no target: %v", e)
	}
	if g.result() != nil {
		t.Error("something came of it before it ended")
	}
	want := broughtBack{Former: "/var/lib/foyer/before-restore-1", Settings: "name = \"attic\"\n"}
	if err := k.told(ctx, gateDone, want); err != nil {
		t.Fatal(err)
	}
	if got := g.result(); got == nil || *got != want {
		t.Errorf("what came of it: %+v", got)
	}
	end()
	select {
	case <-ctx.Done():
	case <-time.After(2 * time.Minute):
		t.Fatal("the end of root is not seen")
	}
	if err := k.Stop(t.Context()); err == nil {
		t.Error("it was done after the end")
	}
}

// Ports, proxies and folders are a machine's own; everything else comes with the data.
func TestSettingsThatStay(t *testing.T) {
	for key, stays := range map[string]bool{
		"data": true, "database": true, "backup.to": true, "http_port": true, "https_port": true, "proxy.listen": true, "proxy.trusted": true, "proxy.protocol": true,
		"name": false, "addresses": false, "backup.interval": false, "dns.credentials": false, "router": false, "kinto.readonly": false, "certificates.email": false,
	} {
		if keptHere(key) != stays {
			t.Errorf("%s stays: %v", key, !stays)
		}
	}
}
