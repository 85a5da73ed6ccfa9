package config

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

// Edit is a setting that is to be otherwise in a settings file.
type Edit struct {
	Key   string
	Value string // as Settings.Set takes it
	Unset bool   // it is to have its default, and not to be set; Value means nothing
}

// EditFile changes settings in the text of a settings file, and leaves the rest of it as
// it is: comments, the order, blank lines and line ends. A key that is set is changed where
// it stands; one that the file shows as a comment, as Settings.File writes it, becomes a
// line there, and the comment again when it is unset; another one is added to its table. A
// comment within or beside a value that goes is kept, above.
//
// What comes out is read back: nothing but the wanted may differ, and all settings together
// have to be right, as now has them. Where that is not so the error says why, and whoever
// calls writes nothing. path is only for messages, and tells an ini file, which is refused.
func EditFile(path string, text []byte, edits []Edit) (edited []byte, now *Settings, err error) {
	if isINI(path, text) {
		return nil, nil, hint.New("settings-ini",
			hint.T("%s is an ini file as Kinto has them: Foyer reads it, and does not write it.", "%s est un fichier ini comme ceux de Kinto : Foyer le lit, mais ne l'écrit pas.", path), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Change it there by hand.", "Modifiez-le à la main.")).Exits(hint.ExitUsage)
	}
	was, err := flat(path, text)
	if err != nil {
		return nil, nil, err
	}
	wanted := Default()
	edited = text
	for _, e := range edits {
		if err := wanted.apply(e); err != nil {
			return nil, nil, err
		}
		if edited, err = editOne(edited, e.Key, wanted, e.Unset); err != nil {
			return nil, nil, byHand(path, e.Key).Because(err)
		}
	}
	now = Default()
	wrong, err := now.readTOML(path, edited)
	if err != nil {
		return nil, nil, byHand(path, edits[0].Key).Because(err)
	}
	for _, e := range edits { // what is wrong with it is not to be looked for in the file
		if name, ok := strings.CutPrefix(e.Key, "kinto."); ok {
			now.Kinto.sources[name] = e.Key
		} else {
			now.sources[e.Key] = e.Key
		}
	}
	if err := All(append(wrong, now.problems()...)); err != nil {
		return nil, nil, err
	}
	is, err := flat(path, edited)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range differ(was, is) {
		if !slices.ContainsFunc(edits, func(e Edit) bool { return e.Key == key }) {
			return nil, nil, byHand(path, key)
		}
	}
	for _, e := range edits {
		if _, set := is[e.Key]; set == e.Unset || !now.same(wanted, e.Key) {
			return nil, nil, byHand(path, e.Key)
		}
	}
	return now.inItsLanguage(path, text, edited), now, nil
}

// byHand is the error of a text that cannot be changed with certainty.
func byHand(path, key string) *hint.Error {
	return hint.New("settings-by-hand",
		hint.T("%s is written in a way in which Foyer does not dare to change the key %q.", "%s est écrit d'une façon telle que Foyer n'ose pas y modifier la clé %q.", path, key), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Change it there by hand.", "Modifiez-la à la main.")).Exits(hint.ExitUsage)
}

// apply makes an edit in s.
func (s *Settings) apply(e Edit) error {
	name, kinto := strings.CutPrefix(e.Key, "kinto.")
	switch {
	case !e.Unset:
		if err := s.Set(e.Key, e.Value, e.Key); err != nil {
			return err
		}
		if kinto && !s.Kinto.IsSet(name) { // it was passed over
			return Malformed(e.Key, 0, e.Key, s.passed[len(s.passed)-1].Why)
		}
		return nil
	case kinto && kintoKey(name) != nil:
		delete(s.Kinto.values, name)
		return nil
	case kinto:
		return Malformed(e.Key, 0, e.Key, NoSuchKey(name, kintoNames()))
	}
	d := Default()
	text, _ := d.Get(e.Key)
	return s.Set(e.Key, text, e.Key)
}

// same reports whether a setting is the same in both.
func (s *Settings) same(t *Settings, key string) bool {
	if name, ok := strings.CutPrefix(key, "kinto."); ok {
		return s.Kinto.IsSet(name) == t.Kinto.IsSet(name) && s.Kinto.String(name) == t.Kinto.String(name)
	}
	a, ok := s.field(key).(*[]string)
	if !ok {
		return reflect.DeepEqual(s.field(key), t.field(key))
	}
	return slices.Equal(*a, *t.field(key).(*[]string))
}

// Differ lists the settings that are not the same in both, in the order of Keys, those of
// Kinto last.
func Differ(a, b *Settings) []string {
	var out []string
	for _, k := range Keys {
		if !a.same(b, k.Name) {
			out = append(out, k.Name)
		}
	}
	for _, n := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Kinto.Names(), b.Kinto.Names())))) {
		if !a.same(b, "kinto."+n) {
			out = append(out, "kinto."+n)
		}
	}
	return out
}

// Clone is a copy that may be changed.
func (s *Settings) Clone() *Settings {
	c := *s
	for _, k := range Keys {
		if list, ok := c.field(k.Name).(*[]string); ok {
			*list = slices.Clone(*list)
		}
	}
	c.Kinto = Kinto{maps.Clone(s.Kinto.values), maps.Clone(s.Kinto.sources)}
	c.sources, c.passed = maps.Clone(s.sources), slices.Clone(s.passed)
	return &c
}

// flat are the keys of a TOML text with their values as they stand there.
func flat(path string, text []byte) (map[string]any, error) {
	doc := map[string]any{}
	if err := DecodeTOML(path, Normalise(text), &doc, keyNames()); err != nil {
		return nil, err
	}
	return Flatten("", doc), nil
}

// differ lists the keys that are not the same in both; an empty table says nothing.
func differ(a, b map[string]any) []string {
	var out []string
	for key := range maps.Keys(a) {
		if v, ok := b[key]; !ok || !reflect.DeepEqual(a[key], v) {
			out = append(out, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// inItsLanguage writes the file anew where that is what another language makes of it: one
// in which nobody has written anything of their own is explained in the language of the
// settings.
func (s *Settings) inItsLanguage(path string, before, after []byte) []byte {
	was, err := Read(path, before)
	if err != nil || was.Language == s.Language || !bytes.Equal(Normalise(before), was.File(was.fileLang())) {
		return after
	}
	return bytes.ReplaceAll(s.File(s.fileLang()), []byte("\n"), []byte(lineEnd(before)))
}

// fileLang is the language in which a settings file is explained.
func (s *Settings) fileLang() hint.Lang {
	l, _ := hint.ParseLang(s.Language)
	return l
}

func lineEnd(text []byte) string {
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// change is a text whose one key is to be changed.
type change struct {
	text  []byte
	items []item
	key   string
	table string // of the key, and what it is called there
	name  string
	value string // as TOML
	eol   string
}

func editOne(text []byte, key string, wanted *Settings, unset bool) ([]byte, error) {
	items, err := scan(text)
	if err != nil {
		return nil, err
	}
	c := &change{text: text, items: items, key: key, name: key, eol: lineEnd(text)}
	if table, name, ok := strings.Cut(key, "."); ok {
		c.table, c.name = table, name
	}
	_, c.value, _ = strings.Cut(wanted.LineWithSecrets(key), " = ")
	at := -1
	for i, it := range items {
		switch {
		case it.kind != itemEntry || it.name != key:
		case at >= 0:
			return nil, errTwice
		default:
			at = i
		}
	}
	switch {
	case at >= 0 && unset:
		return c.unset(at), nil
	case unset:
		return text, nil
	case at >= 0:
		return c.replace(at), nil
	}
	return c.add(), nil
}

var errTwice = Allowed(hint.T("it stands there twice", "elle y figure deux fois"))

// splice is the text with another one in the place of a part of it.
func (c *change) splice(start, end int, with string) []byte {
	return slices.Concat(c.text[:start], []byte(with), c.text[end:])
}

// replace gives an entry its value, where it stands.
func (c *change) replace(at int) []byte {
	it := c.items[at]
	out := c.splice(it.value[0], it.value[1], c.value)
	if within := c.within(it); len(within) > 0 {
		top := c.top(at)
		return slices.Concat(out[:top.start], []byte(c.lines(within)), out[top.start:])
	}
	return out
}

// within are the comments inside the value of an entry.
func (c *change) within(it item) []string {
	var out []string
	sub := &scanner{text: c.text[:it.value[1]], at: it.value[0]}
	if sub.value("", -1) == nil {
		out = sub.said
	}
	return out
}

// top is the entry whose lines an entry stands in: itself, or an inline table.
func (c *change) top(at int) item {
	for c.items[at].in >= 0 {
		at = c.items[at].in
	}
	return c.items[at]
}

func (c *change) lines(all []string) string {
	var b strings.Builder
	for _, l := range all {
		b.WriteString(l + c.eol)
	}
	return b.String()
}

// unset takes an entry away, or makes it the comment that shows the default.
func (c *change) unset(at int) []byte {
	it := c.items[at]
	if it.in >= 0 {
		return c.unsetInside(at)
	}
	if shown, ok := shownDefault(c.key); ok && len(it.comments) == 0 && it.table == c.table && c.explained(at) && string(c.text[it.key[0]:it.key[1]]) == c.name {
		end := ""
		if c.text[it.end-1] == '\n' {
			end = c.eol
		}
		return c.splice(it.start, it.end, shown+end)
	}
	if len(it.comments) == 0 && it.table != "" {
		if start, ok := c.alone(at); ok {
			return c.splice(start, it.end, "")
		}
	}
	return c.splice(it.start, it.end, c.lines(it.comments))
}

// unsetInside takes an entry out of an inline table, with the comma that goes with it.
func (c *change) unsetInside(at int) []byte {
	it := c.items[at]
	start, end := it.start, it.end
	after := end + len(c.text[end:]) - len(bytes.TrimLeft(c.text[end:], " \t\r\n"))
	before := bytes.TrimRight(c.text[:start], " \t\r\n")
	switch {
	case bytes.HasPrefix(c.text[after:], []byte(",")):
		end = after + 1
		end += len(c.text[end:]) - len(bytes.TrimLeft(c.text[end:], " \t"))
	case bytes.HasSuffix(before, []byte(",")):
		start = len(before) - 1
	}
	within, top := c.within(it), c.top(at)
	return slices.Concat(c.text[:top.start], []byte(c.lines(within)), c.text[top.start:start], c.text[end:])
}

// explained reports whether what the key means stands above an entry, as Settings.File
// writes it.
func (c *change) explained(at int) bool {
	if at == 0 || c.items[at-1].kind != itemComment || c.items[at-1].end != c.items[at].start {
		return false
	}
	for _, k := range Keys {
		for _, l := range hint.Langs {
			if k.Name == c.key && c.items[at-1].comments[0] == "# "+k.Means.In(l) {
				return true
			}
		}
	}
	return false
}

// alone reports whether an entry is all there is below its header; start is that of the
// header, with the blank line above it.
func (c *change) alone(at int) (start int, ok bool) {
	if at == 0 || c.items[at-1].kind != itemHeader || len(c.items[at-1].comments) > 0 || at+1 < len(c.items) && c.items[at+1].kind != itemHeader {
		return 0, false
	}
	start = c.items[at-1].start
	if above, ok := bytes.CutSuffix(c.text[:start], []byte("\n"+c.eol)); ok {
		start = len(above) + 1
	}
	return start, true
}

// shownDefault is the comment by which Settings.File shows a key that is not set.
func shownDefault(key string) (string, bool) {
	if strings.HasPrefix(key, "kinto.") || !slices.Contains(keyNames(), key) {
		return "", false
	}
	name := key[strings.LastIndexByte(key, '.')+1:]
	return "# " + name + " = " + Default().tomlValue(key), true
}

// add puts a key that is not set yet where it belongs: in the place of the comment that
// shows it, else into its table, which is made at the end where there is none.
func (c *change) add() []byte {
	shown, _ := shownDefault(c.key)
	last, inline, dotted := -1, -1, -1
	for i, it := range c.items {
		switch {
		case it.kind == itemComment && it.table == c.table:
			if shown != "" && strings.TrimRight(it.comments[0], " \t") == shown {
				line, end := c.quotedName()+" = "+c.value, ""
				if c.text[it.end-1] == '\n' {
					end = c.eol
				}
				return c.splice(it.start, it.end, line+end)
			}
			if showsAKey(it, c.table) {
				last = i
			}
		case it.kind == itemHeader && it.table == c.table, it.kind == itemEntry && it.in < 0 && it.table == c.table:
			last = i
		case it.kind == itemEntry && it.inline && it.name == c.table:
			inline = i
		}
		if it.kind == itemEntry && it.in < 0 && it.table == "" && c.table != "" && it.dotted == c.table {
			dotted = i
		}
	}
	line := c.quotedName() + " = " + c.value + c.eol
	switch {
	case inline >= 0:
		return c.addInside(c.items[inline])
	case last >= 0:
		return c.after(c.items[last].end, line)
	case c.table == "":
		start := 0
		if bytes.HasPrefix(c.text, []byte("\xef\xbb\xbf")) {
			start = 3
		}
		return c.splice(start, start, line)
	case dotted >= 0:
		return c.after(c.items[dotted].end, c.table+"."+line)
	}
	gap := ""
	if len(bytes.TrimSpace(c.text)) > 0 {
		gap = c.eol
	}
	return c.after(len(c.text), gap+"["+c.table+"]"+c.eol+line)
}

// after puts lines after the line that ends there; the last line of the text may lack its end.
func (c *change) after(end int, lines string) []byte {
	if end > 0 && c.text[end-1] != '\n' && end > len("\xef\xbb\xbf") {
		lines = c.eol + lines
	}
	return c.splice(end, end, lines)
}

// addInside puts a key at the end of an inline table.
func (c *change) addInside(table item) []byte {
	closing := table.value[1] - 1
	last := len(bytes.TrimRight(c.text[:closing], " \t\r\n"))
	entry := c.quotedName() + " = " + c.value
	switch c.text[last-1] {
	case '{':
		return c.splice(last, closing, " "+entry+" ")
	case ',':
		return c.splice(last, last, " "+entry)
	}
	return c.splice(last, last, ", "+entry)
}

// quotedName is what the key is called in its table.
func (c *change) quotedName() string {
	for i := range len(c.name) {
		if !isBare(c.name[i]) {
			return QuoteTOML(c.name)
		}
	}
	return c.name
}

// showsAKey reports whether a comment shows a key of a table that is not set.
func showsAKey(it item, table string) bool {
	for _, key := range keyNames() {
		if at := strings.LastIndexByte(key, '.'); key[:max(at, 0)] != table {
			continue
		}
		if shown, _ := shownDefault(key); it.comments[0] == shown {
			return true
		}
	}
	return false
}
