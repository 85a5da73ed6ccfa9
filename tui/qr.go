package tui

import (
	"strings"

	"rsc.io/qr"
)

// QR draws text as a QR code in half blocks, two rows of modules a line, with a
// quiet zone of two modules, black on white by reverse video so that it reads on a
// dark terminal as well. It returns nothing for a text no QR code can hold.
func QR(text string) string {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return ""
	}
	const quiet = 2
	black := func(x, y int) bool { return code.Black(x, y) } // false outside
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := black(x, y), black(x, y+1); {
			case top && bottom:
				b.WriteRune(' ')
			case top:
				b.WriteRune('▄')
			case bottom:
				b.WriteRune('▀')
			default:
				b.WriteRune('█')
			}
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}
