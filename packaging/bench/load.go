package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// client is one HTTP/1.1 connection that costs as little as can be: the load shares
// the machine with what it measures.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

// do sends a request as it is and reads the answer: its status and the bytes of its body.
func (c *client) do(request []byte) (status, size int, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, 0, err
	}
	status, length, chunked, err := c.head()
	if err != nil {
		return 0, 0, err
	}
	if !chunked {
		_, err = c.in.Discard(length)
		return status, length, err
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return status, size, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return status, size, err
		}
		if _, err := c.in.Discard(int(n) + 2); err != nil || n == 0 {
			return status, size, err
		}
		size += int(n)
	}
}

func (c *client) head() (status, length int, chunked bool, err error) {
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, false, err
		}
		if first {
			if len(line) < 12 {
				return 0, 0, false, errors.New("no status line")
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, 0, false, err
			}
			continue
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return status, length, chunked, nil
		}
		switch {
		case len(line) > 15 && bytes.EqualFold(line[:15], []byte("content-length:")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return 0, 0, false, err
			}
		case len(line) > 18 && bytes.EqualFold(line[:18], []byte("transfer-encoding:")):
			chunked = true
		}
	}
}

// body reads the whole body of one answer, for set-up.
func (c *client) body(request []byte) (status int, body []byte, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	status, length, chunked, err := c.head()
	if err != nil {
		return 0, nil, err
	}
	if chunked {
		return 0, nil, errors.New("an answer in chunks")
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return status, body, err
}

// request builds one.
func request(method, path, auth string, body []byte) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: bench\r\n", method, path)
	if auth != "" {
		b = fmt.Appendf(b, "Authorization: %s\r\n", auth)
	}
	if body != nil {
		b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return append(append(b, "\r\n"...), body...)
}

// job is one kind of request, sent by some connections at once.
type job struct {
	addr    string
	clients int
	want    int                // status
	next    func(n int) []byte // the n-th request; called by many goroutines
	items   int                // that one request counts for; 0: 1
}

// result is what a job did in one slice of time.
type result struct {
	rate     float64 // items a second
	p50, p99 time.Duration
	bytes    int // of one answer
}

// run sends requests for a slice of time.
func (j job) run(slice time.Duration, start int) (result, int, error) {
	all := make([][]time.Duration, j.clients)
	size := 0
	errs := make([]error, j.clients)
	var ready, done sync.WaitGroup
	var mu sync.Mutex
	n := start
	begin := make(chan struct{})
	var until time.Time
	for i := range j.clients {
		ready.Add(1)
		done.Go(func() {
			c, err := dial(j.addr)
			ready.Done()
			if err != nil {
				errs[i] = err
				return
			}
			defer c.conn.Close()
			<-begin
			for {
				mu.Lock()
				at := n
				n++
				mu.Unlock()
				req := j.next(at)
				sent := time.Now()
				if sent.After(until) {
					return
				}
				status, bytes, err := c.do(req)
				if err == nil && status != j.want {
					err = fmt.Errorf("status %d, want %d: %.300s", status, j.want, req)
				}
				if err != nil {
					errs[i] = err
					return
				}
				if i == 0 {
					size = bytes
				}
				all[i] = append(all[i], time.Since(sent))
			}
		})
	}
	ready.Wait()
	from := time.Now()
	until = from.Add(slice)
	close(begin)
	done.Wait()
	took := time.Since(from)
	if err := errors.Join(errs...); err != nil {
		return result{}, n, err
	}
	times := slices.Concat(all...)
	if len(times) == 0 {
		return result{}, n, errors.New("nothing was answered in time")
	}
	slices.Sort(times)
	items := max(j.items, 1)
	return result{
		rate: float64(len(times)*items) / took.Seconds(),
		p50:  times[len(times)/2], p99: times[len(times)*99/100], bytes: size,
	}, n, nil
}

// median of a figure over rounds.
func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	if len(all) == 0 {
		return 0
	}
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
