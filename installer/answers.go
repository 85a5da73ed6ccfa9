package installer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
)

// Answers are what a person wants of an install. LoadAnswers makes them; the
// fields may be changed until they are given to New.
type Answers struct {
	Where         string // WhereHome, WhereReachable or WhereServer; empty: nobody said
	Language      string // en, fr or empty
	Name          string
	Data          string
	HTTPPort      int
	HTTPSPort     int
	Addresses     []string
	Owner         string // makes this owner at once; empty: a claim code is made
	OwnerPassword string // of the owner, itself; never printed
	Firewall      string // FirewallAuto or FirewallLeave

	settings *config.Settings  // carries what has no field
	given    map[string]string // key → where it was given; absent = default
	file     string            // the answers came from there; "" = no file
	read     fs.FileInfo       // what was read there
}

// Where a server may live, and what that makes of settings nobody gave (follow).
const (
	WhereHome      = "home"      // at home, for those in the house
	WhereReachable = "reachable" // at home, from everywhere
	WhereServer    = "server"    // on a rented machine, or for a community
)

// What may be done about a firewall.
const (
	FirewallAuto  = "auto"  // open our ports where a firewall is active
	FirewallLeave = "leave" // touch nothing
)

// AnswerKey documents one answer.
type AnswerKey struct {
	Name  string // as in the answers file
	Means hint.Text
}

// Flag is the command-line flag for this answer, without dashes; "" when it may
// not be given there, where other users of the machine can read it.
func (k AnswerKey) Flag() string {
	if k.Name == "owner_password" || k.Name == "dns.credentials" {
		return ""
	}
	return strings.NewReplacer("_", "-", ".", "-").Replace(k.Name)
}

// AnswerKeys lists the answers, in the order of the file. Besides these every key of
// the settings file may be given: it is passed on to it.
var AnswerKeys = append(append([]AnswerKey{
	{"where", hint.T("home: at home, for those in the house; reachable: at home, from everywhere; server: on a rented machine, or for a community. Empty: as home.", "home : à la maison, pour ceux qui y sont ; reachable : à la maison, depuis partout ; server : sur une machine louée, ou pour une communauté. Vide : comme home.")},
}, settingKeys()...),
	AnswerKey{"owner", hint.T("Name of the owner to make at once; empty: a code to claim this server is shown.", "Nom du propriétaire à créer d'emblée ; vide : un code pour prendre possession du serveur est affiché.")},
	AnswerKey{"owner_password", hint.T("Their password, or @file:PATH or env:NAME to take it from there.", "Son mot de passe, ou @file:CHEMIN ou env:NOM pour le prendre là.")},
	AnswerKey{"firewall", hint.T("auto: open the ports where ufw or firewalld is active; leave: touch nothing.", "auto : ouvrir les ports si ufw ou firewalld est actif ; leave : ne rien toucher.")},
)

// settingKeys are the answers that are settings, too.
func settingKeys() []AnswerKey {
	var out []AnswerKey
	for _, name := range []string{
		"language", "name", "data", "http_port", "https_port", "addresses", "mdns", "router", "dyndns",
		"dns.provider", "dns.credentials", "certificates.email", "proxy.listen", "proxy.trusted",
	} {
		for _, k := range config.Keys {
			if k.Name == name {
				out = append(out, AnswerKey{k.Name, k.Means})
			}
		}
	}
	return out
}

// known are all keys an answers file may hold, for "did you mean".
func known() []string {
	var out []string
	for _, k := range AnswerKeys {
		out = append(out, k.Name)
	}
	for _, k := range config.Keys {
		if !slices.Contains(out, k.Name) {
			out = append(out, k.Name)
		}
	}
	for _, k := range config.KintoKeys {
		out = append(out, "kinto."+k.Name)
	}
	return out
}

// LoadAnswers gathers the answers: defaults, then the file at path ("" = none, "-"
// = stdin), then FOYER_<KEY> in environ, then flags by key ("http_port"). Later
// ones win. The error lists everything that is wrong at once, each with file, line
// and key: *hint.Error with code settings-malformed, answers-unreadable or
// password-weak, exit code 2.
func LoadAnswers(path string, stdin io.Reader, environ []string, flags map[string]string) (*Answers, error) {
	l := &loader{environ: environ, values: map[string]value{}}
	a := &Answers{given: map[string]string{}}
	if path != "" {
		name, data, is, err := readAnswers(path, stdin)
		if err != nil {
			return nil, err
		}
		if path != "-" {
			a.file, a.read = path, is
		}
		l.file(name, data)
	}
	l.environment()
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		if !slices.Contains(known(), key) {
			l.wrong(config.Malformed("--"+strings.ReplaceAll(key, "_", "-"), 0, key, config.NoSuchKey(key, known())))
			continue
		}
		l.values[key] = value{flags[key], "--" + strings.ReplaceAll(key, "_", "-")}
	}
	l.fill(a)
	if err := config.All(l.problems); err != nil {
		return nil, err
	}
	return a, nil
}

// ReadAnswers reads the answers at path ("-" = stdin) as they are, for LoadAnswers to be
// told them as its stdin: so that a pipe may be asked once only. Its error is that of
// LoadAnswers.
func ReadAnswers(path string, stdin io.Reader) ([]byte, error) {
	_, data, _, err := readAnswers(path, stdin)
	return data, err
}

func readAnswers(path string, stdin io.Reader) (name string, data []byte, is fs.FileInfo, err error) {
	name = path
	if path == "-" {
		name = "stdin"
	} else {
		var f *os.File
		if f, err = os.Open(path); err == nil {
			defer f.Close() //nolint:errcheck // it was only read
			stdin = f
			is, err = f.Stat()
		}
	}
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(stdin, 1<<20))
	}
	if err != nil {
		return name, nil, nil, hint.New("answers-unreadable",
			hint.T("The answers in %s cannot be read.", "Les réponses dans %s sont illisibles.", name), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Check the name of the file.", "Vérifiez le nom du fichier.")).Because(err).Exits(hint.ExitUsage)
	}
	return name, config.Normalise(data), is, nil
}

// value is an answer as text and where it was given.
type value struct{ text, source string }

// loader gathers answers and everything that is wrong with them.
type loader struct {
	environ  []string
	values   map[string]value
	problems []*hint.Error
}

func (l *loader) wrong(err error) {
	e := hint.Find(err)
	if e == nil {
		e = config.Malformed("", 0, "", config.Reason(err))
	}
	l.problems = append(l.problems, e)
}

// file reads an answers file key by key, so that every mistake is found.
func (l *loader) file(name string, data []byte) {
	doc := map[string]any{}
	if err := config.DecodeTOML(name, data, &doc, known()); err != nil {
		l.wrong(err)
		return
	}
	values := config.Flatten("", doc)
	keys := slices.SortedFunc(maps.Keys(values), func(a, b string) int { return config.LineOf(data, a) - config.LineOf(data, b) })
	for _, key := range keys {
		line := config.LineOf(data, key)
		if !slices.Contains(known(), key) && !strings.HasPrefix(key, "kinto.") {
			l.wrong(config.Malformed(name, line, key, config.NoSuchKey(key, known())))
			continue
		}
		text, err := textOf(key, values[key])
		if err != nil {
			l.wrong(config.Malformed(name, line, key, config.Reason(err)))
			continue
		}
		source := name
		if line > 0 {
			source = fmt.Sprintf("%s:%d", name, line)
		}
		l.values[key] = value{text, source}
	}
}

// environment reads FOYER_<KEY>. Other variables are none of ours.
func (l *loader) environment() {
	for _, kv := range l.environ {
		name, text, _ := strings.Cut(kv, "=")
		for _, key := range known() {
			if !strings.HasPrefix(key, "kinto.") && config.EnvName(key) == name {
				l.values[key] = value{text, name}
			}
		}
	}
}

// fill checks every answer by itself, then all of them together, into a.
func (l *loader) fill(a *Answers) {
	a.settings = config.Default()
	a.Firewall = FirewallAuto
	password := value{}
	for _, key := range slices.Sorted(maps.Keys(l.values)) {
		v := l.values[key]
		a.given[key] = v.source
		switch key {
		case "where":
			a.Where = v.text
			if !slices.Contains([]string{"", WhereHome, WhereReachable, WhereServer}, v.text) {
				l.wrong(config.Malformed(v.source, 0, key, hint.T("home, reachable or server", "home, reachable ou server")))
			}
		case "owner":
			a.Owner = v.text
			if !validOwner(v.text) {
				l.wrong(config.Malformed(v.source, 0, key, hint.T("1 to 64 letters without accents, digits and . + - _ @, beginning with a letter or digit", "de 1 à 64 lettres sans accent, chiffres et . + - _ @, en commençant par une lettre ou un chiffre")))
			}
		case "owner_password":
			password = v
		case "firewall":
			a.Firewall = v.text
			if v.text != FirewallAuto && v.text != FirewallLeave {
				l.wrong(config.Malformed(v.source, 0, key, hint.T("auto or leave", "auto ou leave")))
			}
		default:
			alone := config.Default()
			err := alone.Set(key, v.text, v.source)
			if err == nil && !slices.ContainsFunc(together, func(p string) bool { return strings.HasPrefix(key, p) }) {
				err = alone.Validate()
			}
			if err != nil && (key == "http_port" || key == "https_port") && alone.HTTPPort == alone.HTTPSPort {
				err = nil // the other one may have changed as well
			}
			if err == nil {
				err = a.settings.Set(key, v.text, v.source)
			}
			if err != nil {
				l.wrong(err)
			}
		}
	}
	if err := follow(a.Where, a.settings, func(key string) bool { return a.given[key] != "" }); err != nil {
		l.wrong(err)
	}
	if len(l.problems) == 0 {
		if err := a.settings.Validate(); err != nil {
			l.wrong(err)
		}
	}
	l.password(a, password)
	s := a.settings
	a.Language, a.Name, a.Data, a.HTTPPort, a.HTTPSPort, a.Addresses = s.Language, s.Name, s.Data, s.HTTPPort, s.HTTPSPort, s.Addresses
}

// together begin the keys that are right or wrong with others only.
var together = []string{"proxy.", "dyndns", "certificates.cert_file", "certificates.key_file", "kinto."}

// password finds the owner's password where the answer says it is.
func (l *loader) password(a *Answers, v value) {
	if a.Owner == "" {
		if v.source != "" && !strings.HasPrefix(v.source, "FOYER_") {
			l.wrong(config.Malformed(v.source, 0, "owner_password", hint.T("owner is needed with it", "owner doit être donné avec elle")))
		}
		return
	}
	text := v.text
	if path, ok := strings.CutPrefix(text, "@file:"); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			l.wrong(config.Malformed(v.source, 0, "owner_password", hint.T("@file:PATH of a file that can be read", "@file:CHEMIN d'un fichier lisible")).Because(err))
			return
		}
		text = strings.TrimRight(string(data), "\r\n")
	} else if name, ok := strings.CutPrefix(text, "env:"); ok {
		text = ""
		for _, kv := range l.environ {
			if k, val, _ := strings.Cut(kv, "="); k == name {
				text = val
			}
		}
		if text == "" {
			l.wrong(config.Malformed(v.source, 0, "owner_password", hint.T("env:NAME of an environment variable that is set; %s is not", "env:NOM d'une variable d'environnement définie ; %s ne l'est pas", name)))
			return
		}
	}
	switch {
	case text == "":
		l.wrong(config.Malformed("owner_password", 0, "owner_password", hint.T("it is needed with owner, as FOYER_OWNER_PASSWORD or in the answers file", "il la faut avec owner, par FOYER_OWNER_PASSWORD ou dans le fichier de réponses")))
	case utf8.RuneCountInString(text) < 8 || len(text) > 72: // bcrypt looks no further
		l.wrong(hint.New("password-weak",
			hint.T("This password is too short or too long.", "Ce mot de passe est trop court ou trop long."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Use at least %d characters, and at most %d bytes of text.", "Utilisez au moins %d caractères, et au plus %d octets de texte.", 8, 72)).Exits(hint.ExitUsage))
	}
	a.OwnerPassword = text
}

// validOwner says what the server takes as the name of an account.
func validOwner(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune(".+-_@", r)) {
			return false
		}
	}
	return true
}

// Given are the answers that somebody gave, as text; secrets of the owner are not
// among them.
func (a *Answers) Given() Values {
	v := Values{}
	for key, source := range a.given {
		switch {
		case source == "" || key == "owner_password":
		case key == "owner":
			v[key] = a.Owner
		case key == "where":
			v[key] = a.Where
		case key == "firewall":
			v[key] = a.Firewall
		default:
			v[key], _ = a.settings.Get(key)
		}
	}
	return v
}

// Notices tells of settings among the answers that have no effect.
func (a *Answers) Notices() []config.Notice {
	if a.settings == nil {
		return nil
	}
	return a.settings.Notices()
}

// Settings returns the settings file's contents these answers stand for.
func (a *Answers) Settings() (*config.Settings, error) {
	s := config.Default()
	if a.settings != nil {
		for _, k := range config.Keys {
			text, _ := a.settings.Get(k.Name)
			if err := s.Set(k.Name, text, a.given[k.Name]); err != nil {
				return nil, err
			}
		}
		for _, n := range a.settings.Kinto.Names() {
			if err := s.Set("kinto."+n, a.settings.Kinto.Written(n), a.given["kinto."+n]); err != nil {
				return nil, err
			}
		}
	}
	s.Language, s.Name, s.Data, s.HTTPPort, s.HTTPSPort, s.Addresses = a.Language, a.Name, a.Data, a.HTTPPort, a.HTTPSPort, a.Addresses
	return s, s.Validate()
}

// Write writes the answers as a file for --answers. Secrets are not in it:
// the password is to be taken from FOYER_OWNER_PASSWORD, what a DNS service gave to
// sign in with has to be filled in.
func (a *Answers) Write(w io.Writer) error {
	s, err := a.Settings()
	if err != nil {
		return err
	}
	lang, _ := hint.ParseLang(a.Language)
	var b strings.Builder
	b.WriteString("# " + hint.T("Answers for `foyer install --answers FILE --yes`.", "Réponses pour `foyer install --answers FICHIER --yes`.").In(lang) + "\n")
	for _, k := range AnswerKeys {
		set, _ := s.Get(k.Name)
		text := config.QuoteTOML(set)
		switch k.Name {
		case "where":
			text = config.QuoteTOML(a.Where)
		case "owner":
			text = config.QuoteTOML(a.Owner)
		case "owner_password":
			text = `""`
			if a.OwnerPassword != "" {
				text = `"env:FOYER_OWNER_PASSWORD"`
			}
		case "firewall":
			text = config.QuoteTOML(a.Firewall)
		case "http_port", "https_port":
			text = set
		case "addresses", "proxy.trusted":
			text = list(set)
		case "dns.credentials":
			text = "[]"
		}
		mark := ""
		if strings.HasPrefix(k.Name, "owner") && a.Owner == "" || k.Name == "dns.credentials" {
			mark = "# "
		}
		fmt.Fprintf(&b, "\n# %s\n%s%s = %s\n", k.Means.In(lang), mark, k.Name, text)
	}
	for _, k := range config.Keys { // what was given besides
		text, _ := s.Get(k.Name)
		if text == k.Default || slices.ContainsFunc(AnswerKeys, func(a AnswerKey) bool { return a.Name == k.Name }) {
			continue
		}
		switch k.Name {
		case "database": // it may hold a password
			text = `"********"`
			b.WriteString("# ")
		case "dns.resolvers":
			text = list(text)
		default:
			if !strings.HasPrefix(k.Name, "limits.") {
				text = config.QuoteTOML(text)
			}
		}
		fmt.Fprintf(&b, "%s = %s\n", k.Name, text)
	}
	if names := s.Kinto.Names(); len(names) > 0 {
		b.WriteString("\n[kinto]\n")
		for _, n := range names {
			text := config.QuoteTOML(s.Kinto.Written(n))
			if strings.Contains(n, "secret") {
				fmt.Fprintf(&b, "# %s = \"********\"\n", config.QuoteTOML(n))
				continue
			}
			fmt.Fprintf(&b, "%s = %s\n", config.QuoteTOML(n), text)
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// list writes words as a list in TOML.
func list(words string) string {
	var quoted []string
	for w := range strings.FieldsSeq(words) {
		quoted = append(quoted, config.QuoteTOML(w))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// blank empties the answers file after a successful install when it lies on the
// boot partition, which everybody who holds the card can read. It reports whether
// it did. Another file that has come under that name since is left.
func (a *Answers) blank(root string) (bool, error) {
	if a.file == "" {
		return false, nil
	}
	path, err := filepath.Abs(a.file)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return false, fmt.Errorf("cannot empty the answers file: %w", err)
	}
	if !strings.HasPrefix(path, filepath.Join(root, "boot")+string(filepath.Separator)) {
		return false, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false, fmt.Errorf("cannot empty the answers file: %w", err)
	}
	fi, err := f.Stat()
	if err == nil && !os.SameFile(fi, a.read) {
		err = errors.New("it is not the file that was read")
	}
	if err == nil {
		_, err = f.WriteAt(make([]byte, fi.Size()), 0) // over the old text, then shorter
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("cannot empty the answers file: %w", err)
	}
	return true, nil
}

// lists are the settings that hold several words.
var lists = []string{"addresses", "dns.credentials", "dns.resolvers", "proxy.trusted"}

// textOf turns a TOML value of the right kind for key into text.
func textOf(key string, v any) (string, error) {
	if strings.HasPrefix(key, "kinto.") {
		return config.KintoText(v)
	}
	number := strings.HasSuffix(key, "_port") || strings.HasPrefix(key, "limits.")
	switch v := v.(type) {
	case int64:
		if number {
			return strconv.FormatInt(v, 10), nil
		}
	case string:
		if !number {
			return v, nil
		}
	case []any:
		var words []string
		for _, e := range v {
			w, ok := e.(string)
			if !ok {
				return "", config.Allowed(hint.T(`a list of text, like ["a", "b"], is needed`, `il faut une liste de textes, comme ["a", "b"]`))
			}
			words = append(words, w)
		}
		if slices.Contains(lists, key) {
			return strings.Join(words, " "), nil
		}
	}
	if number {
		return "", config.Allowed(hint.T("a whole number, without quotes, is needed", "il faut un nombre entier, sans guillemets"))
	}
	return "", config.Allowed(hint.T(`text in quotes, like "this", is needed`, `il faut un texte entre guillemets, comme "ceci"`))
}
