//go:build unix

package host

import (
	"fmt"
	"net"
	"os"
	"strings"
)

func pass(ls []Listener) (value string, files []*os.File, err error) {
	var names []string
	for _, l := range ls {
		filer, ok := l.Listener.(interface{ File() (*os.File, error) })
		if !ok {
			return "", nil, fmt.Errorf("cannot pass listener %s: it has no descriptor", l.Name)
		}
		f, err := filer.File()
		if err != nil {
			return "", nil, fmt.Errorf("cannot pass listener %s: %w", l.Name, err)
		}
		names, files = append(names, l.Name), append(files, f)
	}
	return strings.Join(names, ","), files, nil
}

func fromParent(names string) ([]Listener, error) {
	var out []Listener
	for i, name := range splitNames(names) {
		l, err := fromFD(3 + i)
		if err != nil {
			Close(out)
			return nil, err
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		out = append(out, Listener{name, l})
	}
	return out, nil
}
