package host

import (
	"fmt"
	"os"
	"strings"
)

func pass(ls []Listener) (value string, files []*os.File, err error) {
	var parts []string
	for _, l := range ls {
		parts = append(parts, l.Name+"="+l.Addr().Network()+"!"+l.Addr().String())
		l.Close()
	}
	return strings.Join(parts, ","), nil, nil
}

func fromParent(names string) ([]Listener, error) {
	var out []Listener
	for _, part := range splitNames(names) {
		name, rest, _ := strings.Cut(part, "=")
		network, address, ok := strings.Cut(rest, "!")
		if !ok {
			Close(out)
			return nil, fmt.Errorf("cannot open listener %q again", part)
		}
		l, err := Listen(name, network, address)
		if err != nil {
			Close(out)
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}
