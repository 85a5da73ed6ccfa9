// Package helper has root do the few things that the service, which is shut in, cannot do
// itself: read what the kernel hides from it, give back owners, apply the settings, have
// dpkg finish what it was left half-way with, start the machine again.
//
// It holds both ends of one story. The supervisor writes a request, a small file with one
// line of JSON, into a folder (Client). That folder not being empty, systemd starts a
// process of root's without network (Serve), which takes the request away, writes into a
// journal of its own what it is about to do, does it, and writes a record as it goes: the
// same as that of a job (job.Record). The supervisor follows it.
//
// What may be asked for is a table in this package (Verbs): names, and arguments of which
// each has a list of allowed values, or is the number of a job. No path, name of a file or
// command is ever an argument.
//
// One verb takes values besides: new answers to what the wizard asks (VerbChangeSettings).
// They are few and short, root itself checks them by the rules of the installer
// (Config.Check) before anything is begun, and they may be secrets: they are in the request
// alone, which root takes away, in no record, journal, log or error. What such a verb does
// is on trial (trial.go): it is taken back by itself unless somebody wants it kept.
//
// Threat model: whoever took over the server is user foyer, knows this code, and can write
// and exchange whatever they like in the folder of requests, at any moment and without end.
// They can have the things of the table done, as often as its limits allow, and nothing
// else. With values they can answer the wizard's questions otherwise, and confirm that
// themselves: have the server answer at other names and ports, behind a proxy, or with
// another DNS account, but neither move the data, nor name a file, nor run anything. Who
// asked is told of it by the supervisor's events, and by root's journal. The folder lies in /run, which is root's, so that it cannot be replaced; root opens
// it once, follows no link, never waits for what it opens (internal/safepath), reads few
// and small files, and slows down when there is no end to them. Journal, limits and records
// are where user foyer cannot write.
//
// Used by the supervisor (Client) and by `foyer helper` (Serve).
package helper

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/foyer-server/foyer/internal/hint"
)

// Folders, below /run and /var/lib; the units of package service know them by this name.
// What lies in /run is gone at a power cut: nothing is done later that nobody still wants.
const Name = "foyer-helper"

// Names of the verbs.
const (
	VerbReadMachine   = "read-machine"
	VerbRepairOwners  = "repair-owners"
	VerbApplySettings = "apply-settings"
	VerbReboot        = "reboot"
	// VerbRepairPackages has dpkg finish what it was left half-way with.
	VerbRepairPackages = "repair-packages"
	// VerbChangeSettings has a report.Change for its result, and is on trial when it was done.
	VerbChangeSettings = "change-settings"
	VerbEndTrial       = "end-trial" // trial: its number; do; why
	VerbDrill          = "drill-backup"
)

// Arguments of VerbEndTrial: what is to become of what is on trial, and, of what is to go
// back, why.
const (
	ArgTrial = "trial"
	ArgDo    = "do"
	ArgWhy   = "why"

	DoKeep = "keep"
	DoBack = "back"

	WhyAsked  = "asked"  // somebody wants it so
	WhySilent = "silent" // the server does not answer any more
)

// Touches says what a verb changes, from nothing on.
type Touches int

// What is touched.
const (
	Nothing Touches = iota // it only reads
	Foyers                 // what is Foyer's: its files, its units
	Machine                // everybody on this machine notices
)

// Word is what is touched, for a person.
func (t Touches) Word() hint.Text {
	switch t {
	case Nothing:
		return hint.T("reads only", "lecture seule")
	case Foyers:
		return hint.T("changes what is Foyer's", "modifie ce qui est à Foyer")
	}
	return hint.T("changes the machine", "modifie la machine")
}

// Verb is one thing that can be asked for.
type Verb struct {
	Name  string    // stable, documented in docs/codes.md
	Title hint.Text // a few words: "Read the machine"
	// Args are the names of its arguments, each of which is needed, with their allowed values;
	// with none listed it is the number of a job.
	Args    map[string][]string
	Words   map[string]hint.Text // what these values are to people
	PerHour int                  // how often it is done at most
	PerDay  int
	Within  time.Duration // it is ended when it takes longer
	Touches Touches
	Page    bool // a page of the server may ask for it, too, not only the administrator
	Fresh   bool // an owner has to have signed in lately for that
	// Again: done twice it comes to the same, so that it is begun anew when it was cut off.
	Again bool
	// Restarts: it ends because the machine does. Whether it was done is known at the next start.
	Restarts bool
	// Trial: what it did waits to be kept, and is taken back otherwise (trial.go).
	Trial bool
	// Ends: it ends a trial. The helper does it itself, while another verb is at work, too.
	Ends bool
	// Part: a job of another kind asks for it, as a part of what that does.
	Part bool
	// Values: it takes values, of which those of Secrets may be in nothing that is written.
	Values  bool
	Secrets []string
	// unfit says why it cannot be done now, beside what Args and limits say; nil: it can.
	unfit func(args map[string]string, now time.Time) error
}

// Verbs is all that can be asked for.
var Verbs = []Verb{{
	Name: VerbReadMachine, Title: hint.T("Read the state of the machine", "Relever l'état de la machine"),
	PerHour: 30, PerDay: 200, Within: 2 * time.Minute, Touches: Nothing, Page: true, Again: true,
}, {
	Name: VerbRepairOwners, Title: hint.T("Repair the owners of Foyer's files", "Réparer les propriétaires des fichiers de Foyer"),
	PerHour: 6, PerDay: 20, Within: 30 * time.Minute, Touches: Foyers, Page: true, Again: true,
}, {
	Name: VerbApplySettings, Title: hint.T("Apply the settings", "Appliquer les réglages"),
	PerHour: 10, PerDay: 40, Within: 10 * time.Minute, Touches: Foyers, Page: true, Fresh: true, Again: true,
}, {
	Name: VerbRepairPackages, Title: hint.T("Finish the installation of the system's packages", "Terminer l'installation des paquets du système"),
	PerHour: 6, PerDay: 12, Within: 50 * time.Minute, Touches: Machine, Page: true, Fresh: true, Again: true,
}, {
	Name: VerbReboot, Title: hint.T("Restart the machine", "Redémarrer la machine"),
	Args: map[string][]string{"reason": {"asked", "updates", "memory", "storage"}, "window": {"now", "night"}},
	Words: map[string]hint.Text{
		"asked": hint.T("since I want it", "parce que je le veux"), "updates": hint.T("for updates of the system", "pour des mises à jour du système"),
		"memory": hint.T("since memory runs short", "parce que la mémoire manque"), "storage": hint.T("since a disk makes trouble", "parce qu'un disque pose problème"),
		"now": hint.T("now", "maintenant"), "night": hint.T("only at night", "seulement la nuit"),
	},
	PerHour: 2, PerDay: 2, Within: time.Minute, Touches: Machine, Page: true, Fresh: true, Restarts: true, unfit: notInWindow,
}, {
	Name: VerbChangeSettings, Title: hint.T("Change the settings", "Modifier les réglages"),
	PerHour: 10, PerDay: 40, Within: 10 * time.Minute, Touches: Foyers, Page: true, Fresh: true, Trial: true, Values: true, Secrets: []string{"dns.credentials"},
}, {
	Name: VerbDrill, Title: hint.T("Restore the backup apart from the data", "Restaurer la sauvegarde à l'écart des données"),
	PerHour: 6, PerDay: 24, Within: time.Minute, Touches: Foyers, Again: true, Part: true,
}, {
	Name: VerbEndTrial, Title: hint.T("Keep what is on trial, or take it back", "Garder ce qui est à l'essai, ou le défaire"),
	Args:    map[string][]string{ArgTrial: nil, ArgDo: {DoKeep, DoBack}, ArgWhy: {WhyAsked, WhySilent}},
	PerHour: 30, PerDay: 100, Within: time.Minute, Touches: Foyers, Again: true, Ends: true,
}}

// The night begins and ends at these hours of this machine's clock.
const (
	nightFrom = 2
	nightTo   = 5
)

// IsNight reports whether a time is one at which a machine may be restarted by night, by the clock
// on its wall.
func IsNight(t time.Time) bool {
	hour := here(t).Hour()
	return hour >= nightFrom && hour < nightTo
}

func notInWindow(args map[string]string, now time.Time) error {
	if hour := now.Hour(); args["window"] != "night" || hour >= nightFrom && hour < nightTo {
		return nil
	}
	return hint.New("helper-window",
		hint.T("It is %s on this machine, and it was to be restarted at night, between %d and %d o'clock.", "Il est %s sur cette machine, et elle devait redémarrer la nuit, entre %d h et %d h.", now.Format("15:04"), nightFrom, nightTo),
		hint.T("It was not restarted, and will not be later either.", "Elle n'a pas été redémarrée, et ne le sera pas non plus plus tard."),
		hint.T("Ask again at night, or with window=now.", "Redemandez la nuit, ou avec window=now."))
}

// Find is the verb of a name.
func Find(name string) (Verb, bool) {
	i := slices.IndexFunc(Verbs, func(v Verb) bool { return v.Name == name })
	if i < 0 {
		return Verb{}, false
	}
	return Verbs[i], true
}

// Check says what is wrong with arguments; the error is a *hint.Error.
func (v Verb) Check(args map[string]string) error {
	malformed := func(what hint.Text) error {
		return hint.New("job-malformed", what, hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.T("`foyer jobs kinds` shows what it takes.", "`foyer jobs kinds` montre ce qu'elle accepte."))
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if allowed, ok := v.Args[name]; !ok || !slices.Contains(allowed, args[name]) && (allowed != nil || !idRE.MatchString(args[name])) {
			return malformed(hint.T("%s: %s=%s is not among what it takes.", "%s : %s=%s n'est pas accepté.", v.Title, name, hint.Short(args[name], 50)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Args)) {
		if _, ok := args[name]; !ok {
			return malformed(hint.T("%s: %s is missing, which is one of %s.", "%s : il manque %s, parmi %s.", v.Title, name, strings.Join(v.Args[name], ", ")))
		}
	}
	return nil
}

// How many values there may be, and how long their names and they may be together.
const (
	mostValues  = 32
	valuesBytes = 4 << 10
)

// keyRE is what a value may be called.
var keyRE = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$`)

// CheckValues says what is wrong with values, as far as that can be said without knowing what
// they mean; none of them is repeated. The error is a *hint.Error.
func (v Verb) CheckValues(values map[string]string) error {
	bytes, ok := 0, v.Values == (len(values) > 0)
	for key, value := range values {
		bytes += len(key) + len(value)
		ok = ok && keyRE.MatchString(key) && utf8.ValidString(value) && !strings.ContainsRune(value, 0)
	}
	if ok && len(values) <= mostValues && bytes <= valuesBytes {
		return nil
	}
	return hint.New("job-malformed", hint.T("%s: these values are not right, or too many, or too long.", "%s : ces valeurs ne conviennent pas, ou sont trop nombreuses ou trop longues.", v.Title),
		hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.T("At most %d, of %d bytes together.", "Au plus %d, de %d octets ensemble.", mostValues, valuesBytes))
}

// request is what one file in the folder of requests says.
type request struct {
	ID   string            `json:"id"` // of the job; the same one again is the same request
	Verb string            `json:"verb"`
	Args map[string]string `json:"args,omitempty"`
	// Values are here alone: they may be secrets.
	Values map[string]string `json:"values,omitempty"`
}

// requestBytes is how long a request may be: JSON may need six bytes for one of a value.
const requestBytes = 32 << 10

// idRE is how jobs are numbered (package job).
var idRE = regexp.MustCompile(`^[0-9]{8}-[0-9]{9}-[a-z2-7]{4}$`)

// parse reads a request. One that has no fit number cannot even be answered.
func parse(text []byte) (r request, err error) {
	if len(text) > requestBytes {
		return request{}, fmt.Errorf("it has %d bytes", len(text))
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return request{}, err
	}
	if !idRE.MatchString(r.ID) {
		return request{}, fmt.Errorf("its number is none")
	}
	return r, nil
}

// file is the name of a request, and of the record that answers it.
func file(id string) string { return id + ".json" }

// endsPrefix is how the names of requests begin that end a trial, by which they are found
// while a verb is at work.
const endsPrefix = "end-"

// file is the name of this request.
func (r request) file() string {
	if v, _ := Find(r.Verb); v.Ends {
		return endsPrefix + file(r.ID)
	}
	return file(r.ID)
}
