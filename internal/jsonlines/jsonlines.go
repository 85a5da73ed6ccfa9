// Package jsonlines is the form of files that are only ever appended to, and of which a
// power cut, or a bad sector, may spoil a part: lines, each a JSON object
// {"record": …, "sum": …}, where sum is the CRC-32C of the record's bytes, in hexadecimal.
package jsonlines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

type line struct {
	Record json.RawMessage `json:"record"`
	Sum    string          `json:"sum"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(record []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(record, castagnoli)) }

// Append appends a record to dst as a line.
func Append(dst []byte, record any) ([]byte, error) {
	text, err := json.Marshal(record)
	if err != nil {
		return dst, err
	}
	out, err := json.Marshal(line{text, sum(text)})
	if err != nil {
		return dst, err
	}
	return append(append(dst, out...), '\n'), nil
}

// Read gives each record that is whole to take, in order; a record that take does not
// want (an error) counts as damaged. It returns how many bytes the last good line reaches
// to (what is torn after it is to be cut off there), and how many lines before that are damaged.
func Read(data []byte, take func(record json.RawMessage) error) (whole, damaged int) {
	bad := 0
	for rest := data; ; {
		text, after, ended := bytes.Cut(rest, []byte("\n"))
		if !ended {
			return whole, damaged
		}
		rest = after
		var l line
		if json.Unmarshal(text, &l) != nil || sum(l.Record) != l.Sum || take(l.Record) != nil {
			bad++
			continue
		}
		whole, damaged = len(data)-len(rest), bad
	}
}
