package kit

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/foyer-server/foyer/internal/hint"
)

// What is wrong with words, for errors.Is. The errors of Read are such that a person can act
// on them.
var (
	ErrNumber  = errors.New("these are not twelve words")
	ErrUnknown = errors.New("a word is in no list")
	ErrMixed   = errors.New("the words are of several lists")
	ErrWrong   = errors.New("the words do not belong together")
	ErrUnclear = errors.New("the words can be read in two ways")
)

// prefixLetters are as many letters as tell any two words of a list apart.
const prefixLetters = 4

// longestText is more than twelve words can come to.
const longestText = 4096

//go:embed words/english.txt
var english string

//go:embed words/french.txt
var french string

//go:embed words/spanish.txt
var spanish string

// lists are the lists there are. English stands for languages without one.
var lists = []*list{{lang: hint.EN, text: english}, {lang: hint.FR, text: french}, {lang: ES, text: spanish}}

// list is 2048 words in their order, which is part of every kit there is.
type list struct {
	lang hint.Lang
	text string
	once sync.Once
	// words are without accents, as they are compared.
	words []string
	index map[string]int
}

func listIn(lang hint.Lang) *list {
	for _, l := range lists {
		if l.lang == lang {
			return l
		}
	}
	return lists[0]
}

// load takes the list in when it is first needed.
func (l *list) load() {
	l.once.Do(func() {
		l.words = strings.Fields(l.text)
		l.index = make(map[string]int, 2*len(l.words))
		for i, w := range l.words {
			l.words[i] = bare(w)
			if len(l.words[i]) > prefixLetters {
				l.index[l.words[i][:prefixLetters]] = i
			}
		}
		for i, w := range l.words { // a whole word counts before the first letters of another
			l.index[w] = i
		}
	})
}

// find is the index of a word that is bare, whole or at least its first letters; -1: there is none.
func (l *list) find(word string) int {
	l.load()
	if i, ok := l.index[word]; ok {
		return i
	}
	if len(word) > prefixLetters {
		if i, ok := l.index[word[:prefixLetters]]; ok && strings.HasPrefix(l.words[i], word) {
			return i
		}
	}
	return -1
}

// indexes are the bytes and their checksum in pieces of eleven bits.
func indexes(entropy [entropyBytes]byte) []int {
	sum := sha256.Sum256(entropy[:])
	out := make([]int, 0, Words)
	acc, bits := 0, 0
	for _, b := range append(entropy[:], sum[0]) {
		acc, bits = acc<<8|int(b), bits+8
		if bits >= 11 {
			bits -= 11
			out = append(out, acc>>bits&2047)
		}
	}
	return out
}

// entropy is the other way round; ok: the checksum is right.
func entropy(of []int) (out [entropyBytes]byte, ok bool) {
	acc, bits, n := 0, 0, 0
	for _, i := range of {
		acc, bits = acc<<11|i, bits+11
		for ; bits >= 8 && n < len(out); n++ {
			bits -= 8
			out[n] = byte(acc >> bits)
		}
	}
	return out, slices.Equal(indexes(out), of)
}

// say returns the words of some bytes without their accents.
func (l *list) say(entropy [entropyBytes]byte) []string {
	l.load()
	out := make([]string, 0, Words)
	for _, i := range indexes(entropy) {
		out = append(out, l.words[i])
	}
	return out
}

// show returns them as they are written.
func (l *list) show(entropy [entropyBytes]byte) []string {
	all := strings.Fields(l.text)
	out := make([]string, 0, Words)
	for _, i := range indexes(entropy) {
		out = append(out, norm.NFC.String(all[i]))
	}
	return out
}

// bare is a word in small letters without accents.
func bare(word string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(word) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// split takes a text as it was typed or pasted apart into bare words: whatever is neither a
// letter nor an accent stands between two.
func split(text string) []string {
	const softHyphen, byteOrderMark = '\u00ad', '\ufeff'
	text = strings.Map(func(r rune) rune {
		if r == softHyphen || r == byteOrderMark {
			return -1
		}
		return r
	}, text[:min(len(text), longestText)])
	words := strings.FieldsFunc(norm.NFKD.String(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.Is(unicode.Mn, r) })
	for i, w := range words {
		words[i] = bare(w)
	}
	return words
}

// SameWord reports whether a person who types a word means this one of a kit: it is that, or its
// first four letters.
func SameWord(typed, word string) bool {
	t, w := split(typed), bare(word)
	return len(t) == 1 && (t[0] == w || len(t[0]) >= prefixLetters && strings.HasPrefix(w, t[0]))
}

// Read reads the words of a kit as a person types them, in whatever language. The error
// matches one of those above, and can be shown to whoever typed; logged, it quotes none of
// the words.
func Read(text string) (*Kit, error) {
	bytes, err := decode(split(text))
	if err != nil {
		return nil, err
	}
	return of(bytes)
}

// decode reads bare words.
func decode(words []string) (found [entropyBytes]byte, err error) {
	if len(words) != Words {
		return found, hint.New("kit-words-number",
			hint.T("A recovery kit has %d words, and these are %d.", "Un kit de secours a %d mots, et en voici %d.", Words, len(words)), hint.Text{},
			hint.T("Type all of them, in their order.", "Saisissez-les tous, dans l'ordre.")).Because(ErrNumber)
	}
	known := make([][]int, len(lists))
	whole, right := 0, 0
	for n, l := range lists {
		for _, w := range words {
			known[n] = append(known[n], l.find(w))
		}
		if slices.Contains(known[n], -1) {
			continue
		}
		whole++
		if bytes, ok := entropy(known[n]); ok {
			right++
			found = bytes
		}
	}
	switch {
	case right == 1:
		return found, nil
	case right > 1:
		return found, hint.New("kit-words-unclear",
			hint.T("These words can be read in two languages, as two different kits.", "Ces mots se lisent dans deux langues, comme deux kits différents."), hint.Text{},
			hint.T("Type the words in full, not only their first letters.", "Saisissez les mots en entier, pas seulement leurs premières lettres.")).Because(ErrUnclear)
	case whole > 0:
		return found, hint.New("kit-words-wrong",
			hint.T("Each of these words exists, but together they are no recovery kit.", "Chacun de ces mots existe, mais ensemble ils ne forment pas un kit de secours."), hint.Text{},
			hint.T("Compare them with the paper, one by one: one word stands for another, or their order is different.", "Comparez-les au papier, un par un : un mot est à la place d'un autre, ou l'ordre diffère.")).Because(ErrWrong)
	}
	return found, misread(words, known)
}

// misread says which of the words cannot be read: the first that is in no list, or those
// that are not in the list of most.
func misread(words []string, known [][]int) error {
	best, most := 0, -1
	for n := range lists {
		has := 0
		for _, i := range known[n] {
			if i >= 0 {
				has++
			}
		}
		if has > most {
			best, most = n, has
		}
	}
	for i, w := range words {
		if slices.ContainsFunc(known, func(in []int) bool { return in[i] >= 0 }) {
			continue
		}
		what := hint.T("Word %d is in no list of words.", "Le mot %d n'est dans aucune liste de mots.", i+1)
		do := hint.T("“%s” was typed: compare it with the paper.", "« %s » a été saisi : comparez avec le papier.", w)
		if near := lists[best].nearest(w); near != "" {
			do = hint.T("“%s” was typed: was “%s” meant?", "« %s » a été saisi : était-ce « %s » ?", w, near)
		}
		return hint.New("kit-word-unknown", what, hint.Text{}, do).Because(ErrUnknown)
	}
	var others []string
	for i, at := range known[best] {
		if at < 0 {
			others = append(others, strconv.Itoa(i+1))
		}
	}
	return hint.New("kit-words-mixed",
		hint.T("Not all of these words are of one language: look at number %s.", "Ces mots ne sont pas tous d'une même langue : voyez le numéro %s.", strings.Join(others, ", ")), hint.Text{},
		hint.T("Compare them with the paper: the words of a kit are all of one language.", "Comparez-les au papier : les mots d'un kit sont tous d'une même langue.")).Because(ErrMixed)
}

// farthest is how many slips of the finger a suggestion is away.
const farthest = 3

// nearest is the word of the list that a bare word was most likely meant to be, as it is
// written; "": there is none that is near.
func (l *list) nearest(word string) string {
	if len(word) > 32 {
		return ""
	}
	all, best, at := strings.Fields(l.text), min(farthest, len(word)-1)+1, -1
	for i, w := range l.words {
		if d := distance(word, w); d < best {
			best, at = d, i
		}
	}
	if at < 0 {
		return ""
	}
	return norm.NFC.String(all[at])
}

// distance is how many letters have to be put in, taken out, exchanged or swapped with the
// next (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := [3][]int{make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		before, above, here := rows[(i+1)%3], rows[(i+2)%3], rows[i%3]
		here[0] = i
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			here[j] = min(above[j]+1, here[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				here[j] = min(here[j], before[j-2]+1)
			}
		}
	}
	return rows[len(x)%3][len(y)]
}
