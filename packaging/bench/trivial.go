package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// serveTrivial answers with so many bytes, after reading what was sent: what the
// same net/http stack does when there is nothing to do.
func serveTrivial() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	filler := make([]byte, 16<<20)
	for i := range filler {
		filler[i] = 'x'
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil || n > len(filler) {
			n = 200
		}
		if r.Method == http.MethodPost {
			if _, err := io.ReadAll(r.Body); err != nil {
				return
			}
		}
		h := w.Header()
		h["Content-Type"] = []string{"application/json"}
		h["Content-Length"] = []string{strconv.Itoa(n)}
		_, _ = w.Write(filler[:n])
	})
	fmt.Fprintln(os.Stderr, http.Serve(l, handler))
}
