package config

import (
	"strings"
	"testing"
)

// Settings for public names are passed over, with a word to people, where there are none;
// nothing is refused, so that a server that ran goes on.
func TestSettingsForPublicNamesWhereThereAreNone(t *testing.T) {
	const keeps = "dyndns = \"router\"\nrouter = \"map\"\ndns.provider = \"duckdns\"\n"
	for _, c := range []struct {
		name, file, want string // the key that is passed over; "" none
	}{
		{"a public name", "addresses = [\"nas.lan\", \"cloud.jeannine-martin.fr\"]\n" + keeps, ""},
		{"names of home", "addresses = [\"nas.lan\", \"nas.fritz.box\"]\n" + keeps, "dyndns"},
		{"an address", "addresses = [\"81.2.69.142\"]\n" + keeps, "dyndns"},
		{"no name", keeps, "dyndns"},
		{"no name, and none kept", "addresses = [\"nas.lan\"]\n", ""},
		{"members", "[certificates]\nmembers = \"membres.jeannine-martin.fr\"\n", ""},
		{"members at home", "[certificates]\nmembers = \"membres.home.arpa\"\n", "certificates.members"},
		{"members of an example", "[certificates]\nmembers = \"members.example\"\n", "certificates.members"},
		{"members of an example, by an authority of one's own", "[certificates]\nmembers = \"members.example\"\nca = \"https://ca.jeannine-martin.fr/directory\"\n", ""},
		{"members at home, by an authority of one's own", "[certificates]\nmembers = \"membres.lan\"\nca = \"https://ca.jeannine-martin.fr/directory\"\n", "certificates.members"},
		{"members without certificates", "[certificates]\nmembers = \"membres.jeannine-martin.fr\"\nca = \"off\"\n", "certificates.members"},
	} {
		s, err := load(t, c.file)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var keys []string
		for _, n := range s.Notices() {
			keys = append(keys, n.Key)
			if text := n.Text(); !strings.Contains(n.Source, ":") || text.EN == text.FR {
				t.Errorf("%s: %s: %+v", c.name, n.Source, text)
			}
		}
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%s: %q is passed over", c.name, got)
		}
	}
}
