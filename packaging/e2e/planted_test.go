//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// places are those where something could be left, the first that fits; what fits none is a place of
// its own. What is planted may be read only where it says, and has to be found there: in the data, for
// the reasons below, or where this test itself leaves a mark, to see that it would be found.
var places = []struct {
	name, why string
	at        *regexp.Regexp
}{
	{"data", "the data themselves, those of before a restore among them", regexp.MustCompile(`^/var/lib/foyer/`)},
	{"settings", "root's settings, 0640: docs/layout.md", regexp.MustCompile(`^/etc/foyer/foyer\.toml$`)},
	{"keys", "docs/backups.md#keys", regexp.MustCompile(`^/var/lib/foyer-supervisor/backup/chain/(ended-[0-9a-f]{8}/)?(machine|chain)\.key$`)},
	{"events", "who came in, with which app, is told to the owners: docs/codes.md#what-happened", regexp.MustCompile(`^(/var/lib/foyer-supervisor/events|foyer status --json)$`)},
	{"restored", "what somebody with the words has brought back", regexp.MustCompile(`^/var/back/`)},
	{"part", "the same, of one collection", regexp.MustCompile(`^/var/part/`)},
	{"target", "a mark", regexp.MustCompile(`^/media/stick/`)},
	{"state", "a mark", regexp.MustCompile(`^/var/lib/foyer-supervisor/`)},
	{"root's state", "a mark", regexp.MustCompile(`^/var/lib/foyer-helper/`)},
	{"run", "a mark", regexp.MustCompile(`^/run/foyer`)},
	{"log", "a mark", regexp.MustCompile(`^(journalctl$|/(run|var)/log/)`)},
	{"temporary", "a mark", regexp.MustCompile(`^(/var)?/tmp/`)},
	{"shared memory", "a mark", regexp.MustCompile(`^/dev/shm/`)},
}

// placeOf is the place that a file or an answer is in.
func placeOf(where string) string {
	for _, p := range places {
		if p.at.MatchString(where) {
			return p.name
		}
	}
	return where
}

var bundleRE = regexp.MustCompile(`/var/lib/foyer-supervisor/bundles/support-[0-9-]+\.tar\.gz`)

// Phrases are planted by every door that Foyer has, and everything is done that can be done with a
// backup. Then each file that the machine has and Debian has not, the target, what is in memory
// alone, the log and what Foyer says are looked through: nothing of it is readable, but for what
// places says.
func TestPlantedPhrasesAreFoundNowhere(t *testing.T) {
	t.Attr("shows", "backups")
	m := newMachine(t).withFoyer()
	p := &planting{m: m}
	stick := filepath.Join(m.base, "stick")
	m.ok(os.Mkdir(stick, 0o755), os.MkdirAll(m.at("/etc/foyer"), 0o755),
		os.WriteFile(m.at("/etc/foyer/foyer.toml"), []byte(p.settings()), 0o640))
	m.boot("--bind=" + stick + ":/var/stick")
	p.claim(m.install("--mdns", "off").Claim)
	m.healthy()
	p.people()
	part := p.data()
	p.strangers()
	credentials := "token=" + p.secret("dns.credentials", "settings")
	if out, complaint, code := m.withWords(credentials, "foyer", "settings", "set", "dns.credentials", "-"); code != 0 {
		t.Fatalf("setting a secret: %d %s%s", code, out, complaint)
	}

	// A backup begins, by words of which some are typed wrong first.
	m.must("mkdir", "-p", "/media/stick")
	m.plug()
	first, second, other := p.kit("the words"), p.kit("the words after them"), p.kit("words of another kit")
	wrong := strings.Fields(first)
	wrong[7] = p.secret("a word that is none")
	for _, words := range []string{strings.Join(wrong, " "), strings.Join(wrong[:7], " ")} {
		if _, _, code := m.withWords(words, "foyer", "backup", "to", "/media/stick", "--words", "--json"); code == 0 {
			t.Fatalf("the words %q began a backup", words)
		}
	}
	if out, complaint, code := m.withWords(first, "foyer", "backup", "to", "/media/stick", "--words", "--json"); code != 0 {
		t.Fatalf("backup to /media/stick: exit status %d, %s%s%s", code, out, complaint, m.journal())
	}
	m.wait("the first backup", func() bool { return !m.backup().Complete.IsZero() })
	p.later("data", "restored")
	for _, args := range [][]string{{"now"}, {"drill"}, {"check"}, {"list"}} {
		p.says(0, append([]string{"foyer", "backup"}, args...)...)
	}

	// It is away, jobs fail, and it is back.
	m.pull()
	m.wait("the missing stick to be told", func() bool { return m.finding("backup").Cause == "target-away" })
	p.later("data", "restored")
	for _, job := range []string{"now", "drill", "check"} {
		p.says(1, "foyer", "backup", job)
	}
	m.plug()
	p.says(0, "foyer", "backup", "now")

	// A part is brought back, and all of it: into folders, and in the place of the data.
	from := "foyer restore --json --yes --from /media/stick/foyer "
	if _, _, code := m.withWords(other, "sh", "-c", from+"--into /var/none"); code == 0 {
		t.Error("other words opened it")
	}
	for _, run := range []string{`read -r words; read -r part; echo "$words" | ` + from + `--into /var/part --only "$part"`, from + "--into /var/back --app-passwords", "foyer restore --json --yes"} {
		if out, complaint, code := m.withWords(first+"\n"+part, "sh", "-c", run); code != 0 {
			t.Fatalf("%s: exit status %d\n%s%s%s", run, code, out, complaint, m.journal())
		}
	}
	m.healthy()

	// Other words, for a new chain.
	if out, complaint, code := m.withWords(second, "foyer", "backup", "to", "/media/stick/foyer", "--new", "--words", "--json"); code != 0 {
		t.Fatalf("a new backup: exit status %d, %s%s%s", code, out, complaint, m.journal())
	}
	m.wait("the new backup", func() bool { return !m.backup().Complete.IsZero() })
	p.later("data")
	p.says(0, "foyer", "backup", "drill") // else one begins by itself some time, and has all of it for a while
	bundle := bundleRE.FindString(p.says(0, "foyer", "support"))
	for _, args := range []string{"status --json", "backup --json", "backup list --json", "jobs --json", "doctor --json", "logs", "settings --json", "settings"} {
		p.says(-1, append([]string{"foyer"}, strings.Fields(args)...)...)
	}
	p.made()
	p.marks()

	began := time.Now()
	var texts []string
	var of []int // whose text it is
	for i, x := range p.all {
		for _, text := range x.texts {
			texts, of = append(texts, text), append(of, i)
		}
	}
	s := newSearcher(texts)
	files := p.lookThrough(s, stick)
	for where, said := range p.said {
		s.look(where, []byte(said))
	}
	s.look("journalctl", []byte(m.must("journalctl", "-o", "export", "--all", "--no-pager")))
	if s.err != nil || s.streams[bundle] == 0 {
		t.Errorf("not all was looked through: the support bundle is %q, unpacked %d times; %v", bundle, s.streams[bundle], s.err)
	}

	in := make([]map[string][]string, len(p.all)) // where each was found, and how
	for f := range s.found {
		at := of[f.text]
		if in[at] == nil {
			in[at] = map[string][]string{}
		}
		place := placeOf(f.where)
		in[at][place] = append(in[at][place], fmt.Sprintf("%s (%s)", f.where, f.form))
	}
	elsewhere := 0
	for i, x := range p.all {
		for place, as := range in[i] {
			if !slices.Contains(x.in, place) {
				elsewhere++
				t.Errorf("%s is readable in %.500q", x.door, as)
			}
		}
		for _, place := range x.in {
			if in[i][place] == nil {
				t.Errorf("%s is not found in %s", x.door, place)
			}
		}
	}
	took := time.Since(began)
	if t.Failed() {
		t.Log(m.journal())
	}

	// The same search finds each of them, where all were put.
	control := newSearcher(texts)
	ways := []string{"as it is", "hex", "base64", "base64 in lines"}
	packs := slices.Sorted(maps.Keys(packings))
	for i, text := range texts {
		control.look("control", packings[packs[i%len(packs)]](writings[ways[i/len(packs)%len(ways)]]("ab"+text+"c")))
	}
	for i, text := range texts {
		if len(control.places(i)) == 0 {
			t.Errorf("a search that finds everything did not find %.60q, of %s", text, p.all[of[i]].door)
		}
	}
	if len(p.all) < 200 {
		t.Errorf("only %d phrases were planted", len(p.all))
	}
	show("nothing secret is readable in what a backup leaves", "%d phrases by %d doors, in %d forms: %d files, %d MB with what was unpacked %d times, %.1f s: target, state, log, support bundle, %d answers; found %d, where all were put %d of %d",
		len(p.all), p.doors(), s.count(), files, s.bytes>>20, s.unpackedAll(), took.Seconds(), len(p.said), elsewhere, len(texts), len(texts))
}
