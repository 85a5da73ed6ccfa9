//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
)

// The process that installs is killed, once while somebody looks on and once while nobody
// does: that is told, where it was, too, and it is begun again with the answers given.
func TestAnInstallThatDiedIsBegunAgain(t *testing.T) {
	t.Attr("shows", "ground")
	m := newMachine(t).withFoyer()
	m.boot()
	english := []string{"LANG=en_GB.UTF-8", "XDG_CACHE_HOME=/run/cache"}
	x := m.terminal(80, 24, english, downloaded)
	m.must("kill", "-KILL", x.stopInTheMiddle())
	if code := x.gone(); code != 1 {
		t.Errorf("exit status %d; the screen shows:\n%s", code, x.text())
	}
	x.see(`The installation was cut off`)
	x.see(`\[install-cut-off\]`)

	x = m.terminal(80, 24, english, downloaded)
	x.see(`The last installation was cut off`)
	worker := x.stopInTheMiddle()
	x.hangUp()
	x.gone()
	m.must("kill", "-KILL", worker)
	m.wait("it to be gone", func() bool {
		_, _, code := m.run("kill", "-0", worker)
		return code != 0
	})

	x = m.terminal(80, 24, english, downloaded, "--plain")
	x.see(`The last installation was cut off`)
	x.press("\r")
	x.see(`3\. Not now\n\[1\]>`)
	x.press("\r")
	code := x.see(`code ([0-9A-Z]{4}-[0-9A-Z]{4})`)
	m.claim(code)
	m.healthy()
	if out := m.must("ls", "-A", "/run"); slices.Contains(strings.Fields(out), "foyer-install") {
		t.Errorf("its record is left:\n%s", out)
	}
	show("an install that was killed twice", "told by screens and by lines, begun again with the same answers, done")
}
