package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// table is what was measured.
type table struct {
	facts []string
	rows  []row
}

type row struct {
	store, what, figure, spread, ratio, aim string
	met                                     string
}

// rate adds a rate of requests and how it compares.
func (t *table) rate(store, what string, r result, ratio float64, aim string, least float64) {
	one := row{store: store, what: what, figure: fmt.Sprintf("%.0f/s", r.rate), spread: fmt.Sprintf("%s, %s", short(r.p50), short(r.p99)), aim: aim}
	if ratio > 0 {
		one.ratio = fmt.Sprintf("%.2f", ratio)
	}
	if aim != "" {
		one.met = yes(ratio >= least)
	}
	t.append(one)
}

// add adds a figure of its own.
func (t *table) add(store, what string, figure float64, unit, aim string, met bool) {
	one := row{store: store, what: what, figure: fmt.Sprintf("%.1f %s", figure, unit), aim: aim}
	if unit == "×" {
		one.figure, one.ratio = "", fmt.Sprintf("%.2f", figure)
	}
	if aim != "" {
		one.met = yes(met)
	}
	t.append(one)
}

func (t *table) append(r row) {
	t.rows = append(t.rows, r)
	fmt.Fprintf(os.Stderr, "SHOW bench %s: %s: %s\n", r.store, r.what, strings.Join(strings.Fields(r.figure+" "+r.ratio+" "+r.aim+" "+r.met), " "))
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "no"
}

func short(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// markdown is docs/benchmarks.md.
func (t *table) markdown() string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nMade by `make bench`, which measures all of this again on your machine (about a quarter of an hour; `make bench-quick` takes a minute).\n\n")
	for _, f := range t.facts {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	b.WriteString("\nA ratio is Foyer over its yardstick, measured in the same minute; 1.00 is as fast. Where none is named, the yardstick is a handler of nothing\nbehind the same `net/http`, with as many clients, answering as many bytes. Every create is on the disk before it is answered.\n\n")
	b.WriteString("| store | what | figure | p50, p99 | ratio | aim | met |\n|---|---|---|---|---|---|---|\n")
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.store, r.what, r.figure, r.spread, r.ratio, r.aim, r.met)
	}
	return b.String()
}
