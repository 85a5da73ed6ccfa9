package recorder

import (
	"encoding/binary"
	"errors"
	"regexp"
	"time"

	"github.com/foyer-server/foyer/internal/report"
)

// Value is a number, and of what.
type Value struct {
	Of Figure
	N  int64
}

// Decision is that something happened, or that Foyer did something.
type Decision struct {
	Code     string // docs/codes.md
	Severity report.Severity
	About    string // a check, a kind of job; may be empty
	Cause    string // may be empty
	Numbers  []Value
}

// Record is one entry: Figures, or one of Decision and Kernel.
type Record struct {
	At       time.Time     // by the clock of the machine
	Up       time.Duration // since the machine was started, with the time that it slept
	Figures  []Value
	Decision *Decision
	Kernel   *Kernel
}

// Kinds of records, and bounds of what one has.
const (
	kindFigures  = 1
	kindDecision = 2
	kindKernel   = 3

	mostNumbers = 32
)

var codeRE = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// code is a word that may be recorded: empty, a code, or "other" for what is none.
func code(word string) string {
	if word == "" || codeRE.MatchString(word) {
		return word
	}
	return "other"
}

// fit is a decision as it may be recorded.
func (d Decision) fit() Decision {
	d.Code, d.About, d.Cause, d.Numbers = code(d.Code), code(d.About), code(d.Cause), numbers(d.Numbers)
	if d.Code == "" {
		d.Code = "other"
	}
	d.Severity = min(max(d.Severity, report.OK), report.Error)
	return d
}

// fit is a line of the kernel as it may be recorded.
func (k Kernel) fit() Kernel {
	if !wholeRE.MatchString(k.Device) {
		k.Device = ""
	}
	k.Numbers = numbers(k.Numbers)
	return k
}

// numbers are those of figures that are known.
func numbers(all []Value) (fit []Value) {
	for _, v := range all {
		if v.Of.isKnown() && len(fit) < mostNumbers {
			fit = append(fit, v)
		}
	}
	return fit
}

// base is what the times of the records of a frame are counted from.
type base struct {
	at int64 // milliseconds since 1970
	up int64 // milliseconds since the machine was started
}

func baseOf(r Record) base { return base{r.At.UnixMilli(), r.Up.Milliseconds()} }

// append adds a record to dst, which stands alone with its base.
func (b base) append(dst []byte, r Record) []byte {
	up, at := r.Up.Milliseconds()-b.up, r.At.UnixMilli()-b.at
	kind := byte(kindFigures)
	switch {
	case r.Decision != nil:
		kind = kindDecision
	case r.Kernel != nil:
		kind = kindKernel
	}
	dst = append(dst, kind)
	dst = binary.AppendVarint(dst, up)
	dst = binary.AppendVarint(dst, at-up) // 0, as long as nobody sets the clock
	switch kind {
	case kindFigures:
		dst = appendNumbers(dst, r.Figures)
	case kindDecision:
		d := r.Decision
		dst = append(dst, byte(d.Severity))
		for _, word := range []string{d.Code, d.About, d.Cause} {
			dst = appendWord(dst, word)
		}
		dst = appendNumbers(dst, d.Numbers)
	case kindKernel:
		k := r.Kernel
		dst = append(dst, byte(k.Class))
		dst = appendWord(dst, k.Device)
		dst = binary.AppendVarint(dst, k.At.UnixMilli()-b.at)
		dst = appendNumbers(dst, k.Numbers)
	}
	return dst
}

func appendWord(dst []byte, word string) []byte { return append(append(dst, byte(len(word))), word...) }

func appendNumbers(dst []byte, all []Value) []byte {
	dst = append(dst, byte(len(all)))
	for _, v := range all {
		dst = binary.AppendVarint(append(dst, byte(v.Of)), v.N)
	}
	return dst
}

var errRecord = errors.New("a record makes no sense")

// cursor reads what append wrote. After a mistake it reads zeros.
type cursor struct {
	left []byte
	bad  bool
}

func (c *cursor) byte() byte {
	if len(c.left) == 0 {
		c.bad = true
		return 0
	}
	b := c.left[0]
	c.left = c.left[1:]
	return b
}

func (c *cursor) number() int64 {
	n, size := binary.Varint(c.left)
	if size <= 0 {
		c.bad, c.left = true, nil
		return 0
	}
	c.left = c.left[size:]
	return n
}

func (c *cursor) word(fit *regexp.Regexp) string {
	n := int(c.byte())
	if n > len(c.left) {
		c.bad, c.left = true, nil
		return ""
	}
	word := string(c.left[:n])
	c.left = c.left[n:]
	if word != "" && !fit.MatchString(word) {
		c.bad = true
		return ""
	}
	return word
}

func (c *cursor) numbers() (all []Value) {
	n := int(c.byte())
	if n > mostNumbers {
		c.bad = true
		return nil
	}
	for range n {
		if c.bad {
			return nil
		}
		all = append(all, Value{Figure(c.byte()), c.number()})
	}
	return all
}

// record reads one.
func (c *cursor) record(b base) (Record, error) {
	kind := c.byte()
	up, ahead := c.number(), c.number()
	r := Record{At: time.UnixMilli(b.at + up + ahead), Up: time.Duration(b.up+up) * time.Millisecond}
	switch kind {
	case kindFigures:
		r.Figures = c.numbers()
	case kindDecision:
		d := Decision{Severity: report.Severity(c.byte()), Code: c.word(codeRE), About: c.word(codeRE), Cause: c.word(codeRE), Numbers: c.numbers()}
		c.bad = c.bad || d.Severity > report.Error || d.Code == ""
		r.Decision = &d
	case kindKernel:
		k := Kernel{Class: Class(c.byte()), Device: c.word(wholeRE), At: time.UnixMilli(b.at + c.number()), Numbers: c.numbers()}
		r.Kernel = &k
	default:
		c.bad = true
	}
	if c.bad {
		return Record{}, errRecord
	}
	return r, nil
}
