// Package main measures Foyer as its clients meet it: over HTTP on loopback, in
// processes of its own, durable on a real disk, beside what the same machine can do
// at best at the same moment.
//
// Every figure is a median of rounds in which Foyer and its yardstick take turns,
// so that a machine that is slow for a while is slow for both; what counts is the
// ratio. The yardsticks: a handler of nothing on the same net/http stack (a process
// of its own), the rate at which this disk takes 4 KiB and fdatasync, one
// transaction per write on the same PostgreSQL, and PocketBase with the same data.
//
// `make bench` runs all of it and writes docs/benchmarks.md; `bench -quick` is a
// smaller dose that prints the same table.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// dose is how much is measured.
type dose struct {
	small, middle, large int           // records of three collections
	rounds               int           // of each measurement
	slice                time.Duration // of each side of a round
}

var (
	whole = dose{10_000, 100_000, 1_000_000, 3, time.Second}
	quick = dose{1_000, 5_000, 20_000, 3, 300 * time.Millisecond}
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "trivial":
			serveTrivial()
			return
		case "pocketbase":
			servePocketBase()
			return
		}
	}
	small := flag.Bool("quick", false, "a smaller dose")
	binary := flag.String("foyer", "build/foyer", "the binary to measure")
	dir := flag.String("dir", ".cache/bench", "folder on the disk to measure; emptied before and after")
	only := flag.String("only", "", "measure only these, separated by commas: sqlite, postgresql, pocketbase")
	out := flag.String("o", "", "file for the table; empty: standard output alone")
	flag.Parse()
	d := whole
	if *small {
		d = quick
	}
	if err := run(*binary, *dir, *only, *out, d); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(binary, dir, only, out string, d dose) (err error) {
	binary, err = filepath.Abs(binary)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{dose: d, binary: binary, dir: dir, disk: &disk{path: filepath.Join(dir, "disk")}}
	if b.trivial, err = startSelf("trivial"); err != nil {
		return err
	}
	defer b.trivial.stop()
	b.table.facts = facts(dir, binary, d)
	for _, part := range []struct {
		name string
		do   func() error
	}{{"sqlite", b.sqlite}, {"postgresql", b.postgresql}, {"pocketbase", b.pocketbase}} {
		if only != "" && !strings.Contains(","+only+",", ","+part.name+",") {
			continue
		}
		if err := part.do(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	text := b.table.markdown()
	fmt.Print(text)
	if out != "" {
		return os.WriteFile(out, []byte(text), 0o644)
	}
	return nil
}
