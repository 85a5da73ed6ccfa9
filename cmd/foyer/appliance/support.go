package appliance

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"runtime"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor"
)

// supportParts are parts of support bundles that only the whole program knows: its settings,
// and the machine as the service may see it.
func supportParts(s *config.Settings) []supervisor.Part {
	return []supervisor.Part{{
		Name: "settings.toml", Title: hint.T("Settings, without secrets", "Réglages, sans les secrets"),
		Write: func(_ context.Context, w io.Writer) error { return writeSettings(s, w) },
	}, {
		Name: "machine.json", Title: hint.T("The machine, as the service may see it", "La machine, comme le service peut la voir"),
		Write: func(ctx context.Context, w io.Writer) error {
			to := json.NewEncoder(w)
			to.SetIndent("", "  ")
			return to.Encode(seenOfMachine(ctx, s))
		},
	}}
}

// writeSettings writes what `foyer settings` shows, in English and without what each means.
func writeSettings(s *config.Settings, w io.Writer) error {
	names := []string{}
	for _, k := range config.Keys {
		names = append(names, k.Name)
	}
	for _, k := range config.KintoKeys {
		names = append(names, "kinto."+k.Name)
	}
	for _, n := range s.Kinto.Names() {
		if !config.IsKintoKey(n) {
			names = append(names, "kinto."+n)
		}
	}
	var text []byte
	for _, name := range names {
		_, source := s.Get(name)
		if source == "" {
			continue // whoever helps has the defaults
		}
		text = append(text, s.Line(name)+"\n    # "+source+"\n"...)
	}
	for _, n := range s.Notices() {
		text = append(text, "# "+n.Text().In(hint.EN)+"\n"...)
	}
	_, err := w.Write(text)
	return err
}

// seenOfMachine is what this process may see of the machine. What needs root is a job of
// its own.
func seenOfMachine(ctx context.Context, s *config.Settings) map[string]any {
	kernel, _, _ := host.Kernel()
	system, err := os.ReadFile("/etc/os-release")
	if err != nil { // not on every system
		system = nil
	}
	on := host.StorageOf(s.Data)
	return map[string]any{
		"os": runtime.GOOS, "architecture": runtime.GOARCH, "cores": runtime.NumCPU(), "model": host.Model(), "kernel": kernel, "os_release": string(system),
		"service_manager": host.ServiceManager(), "open_files": host.OpenFiles(), "ram_bytes": host.Memory(),
		"data_on_card": on.Card, "data_in_memory": on.Volatile, "clock_set": host.ClockSet(), "clock_of_its_own": host.HasClock(),
		"readings": host.ReadMachine(ctx, host.Exec{}),
	}
}
