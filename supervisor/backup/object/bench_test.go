package object

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// BenchmarkSmall seals and reads an object of one write.
func BenchmarkSmall(b *testing.B) {
	w, line := newWorld(b), record(1)
	for b.Loop() {
		sealed, info := w.seal(b, header(1, ""), line)
		if _, _, _, err := read(bytes.NewReader(sealed), w.expect()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size), "sealed-B")
	}
}

// BenchmarkLarge seals 16 MB of lines, and reads them.
func BenchmarkLarge(b *testing.B) {
	w := newWorld(b)
	var lines []byte
	for n := 0; len(lines) < 16<<20; n++ {
		lines = append(lines, record(n)...)
	}
	sealed, _ := w.seal(b, header(1, ""), string(lines))
	b.Run("seal", func(b *testing.B) {
		b.SetBytes(int64(len(lines)))
		for b.Loop() {
			o, err := w.sealer.New(io.Discard, header(1, ""))
			if err != nil {
				b.Fatal(err)
			}
			if err := o.Lines(lines); err != nil {
				b.Fatal(err)
			}
			info, err := o.Close()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size)/float64(len(lines)), "sealed/plain")
		}
	})
	for name, read := range map[string]func() error{
		"read":   func() error { _, _, _, err := read(bytes.NewReader(sealed), w.expect()); return err },
		"verify": func() error { _, _, err := Verify(bytes.NewReader(sealed), w.expect()); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(lines)))
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(fmt.Errorf("%s: %w", name, err))
				}
			}
		})
	}
}
