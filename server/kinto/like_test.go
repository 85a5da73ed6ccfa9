package kinto

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// slowly is what a pattern says, by trying everything.
func slowly(text, pattern []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(text) == 0
	case pattern[0] == '%':
		return slowly(text, pattern[1:]) || len(text) > 0 && slowly(text[1:], pattern)
	case len(text) == 0:
		return false
	}
	return (pattern[0] == '_' || unicode.ToLower(pattern[0]) == unicode.ToLower(text[0])) && slowly(text[1:], pattern[1:])
}

func TestPatternsAreAsTheySay(t *testing.T) {
	some := rand.New(rand.NewPCG(1, 2))
	random := func(chars []rune, most int) string {
		var b strings.Builder
		for range some.IntN(most + 1) {
			b.WriteRune(chars[some.IntN(len(chars))])
		}
		return b.String()
	}
	yes := 0
	for range 200_000 {
		text, pattern := random([]rune("aAbé\u212a"), 9), random([]rune("aBék_*%"), 6)
		spelt := strings.ReplaceAll(pattern, "*", "%")
		if !strings.Contains(pattern, "*") {
			spelt = "%" + pattern + "%"
		}
		want := slowly([]rune(text), []rune(spelt))
		if got := parsePattern(pattern).matches([]byte(text)); got != want {
			t.Fatalf("%q is like %q: %t, want %t", text, pattern, got, want)
		}
		if want {
			yes++
		}
	}
	if yes < 20_000 || yes > 180_000 {
		t.Errorf("%d of 200000 match: the test says little", yes)
	}
	for _, c := range []struct {
		text, pattern string
		want          bool
	}{
		{strings.Repeat("a", 99), strings.Repeat("a", 98), true}, // a part of more than 64 characters
		{strings.Repeat("a", 97) + "b", strings.Repeat("a", 98), false},
		{strings.Repeat("b", 50) + strings.Repeat("a", 90) + "c", strings.Repeat("a", 90) + "c", true},
		{strings.Repeat("a", 70) + "x" + strings.Repeat("a", 70), strings.Repeat("a", 40) + "_" + strings.Repeat("a", 40), true},
		{"\xff\xfe", "__*", true}, // what is no UTF-8 is a character each
	} {
		if got := parsePattern(c.pattern).matches([]byte(c.text)); got != c.want {
			t.Errorf("%q is like %q: %t", c.text, c.pattern, got)
		}
	}
}

// What one record costs does not grow with what a pattern makes of it: the worst costs at
// most some times as much as the simplest. Before, it was as many times as a pattern has
// characters.
func TestNoPatternIsDear(t *testing.T) {
	t.Attr("shows", "mend2")
	text := []byte(strings.Repeat("a", 1<<20))
	simple := parsePattern("b")
	took := func(p *pattern) time.Duration {
		begin := time.Now()
		if p.matches(text) {
			t.Fatal("it matches")
		}
		return time.Since(begin)
	}
	for _, text := range []string{strings.Repeat("a", 97) + "b", strings.Repeat("a_", 48) + "b", strings.Repeat("*a", 48) + "*b*", strings.Repeat("a*", 24) + strings.Repeat("a", 40) + "b*"} {
		worst := parsePattern(text)
		var ratios []float64
		for range 9 {
			ratios = append(ratios, float64(took(worst))/float64(took(simple)))
		}
		slices.Sort(ratios)
		t.Logf("SHOW like %.10s… of %d characters: %.1f times what the simplest pattern takes", text, len(text), ratios[4])
		if ratios[4] > 20 {
			t.Errorf("%q: %.1f times what the simplest pattern takes", text, ratios[4])
		}
	}
}
