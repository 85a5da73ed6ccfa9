package kinto

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a store in which nothing is found before the caller has given up.
type slow struct{ Store }

func (slow) Read(ctx context.Context, _ func(Reader) error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Hour):
		return errors.New("nobody gave up")
	}
}

// A request that looks through a list does so for some seconds at most, by whatever way it
// comes; others look for as long as somebody waits.
func TestSearchesEnd(t *testing.T) {
	t.Attr("shows", "mend2")
	filter, err := ParseFilter("n", []string{"1"})
	if err != nil {
		t.Fatal(err)
	}
	search := Everything()
	search.Filters = []Filter{filter}
	sorted := Everything()
	sorted.Sort = ParseSort("n,-m")
	list := List{Parent: "/buckets/b/collections/c", Kind: Record}
	for name, do := range map[string]func(context.Context, *Service) error{
		"a filter": func(ctx context.Context, s *Service) error {
			_, err := s.Do(ctx, &Request{Op: Get, List: list, Query: search})
			return err
		},
		"another order": func(ctx context.Context, s *Service) error {
			_, err := s.Do(ctx, &Request{Op: Get, List: list, Query: sorted})
			return err
		},
		"a count": func(ctx context.Context, s *Service) error {
			_, err := s.Do(ctx, &Request{Op: Count, List: list, Query: search})
			return err
		},
		"what is to be deleted": func(ctx context.Context, s *Service) error {
			_, err := s.Do(ctx, &Request{Op: Delete, Who: Caller{ID: "a"}, List: list, Query: search})
			return err
		},
		"a snapshot": func(ctx context.Context, s *Service) error {
			_, err := s.Snapshot(ctx, Caller{}, list, 1, nil)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var invalid *InvalidError
			if err := do(t.Context(), &Service{store: slow{}}); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "takes longer than 10 s") {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begin); took != searchTime {
				t.Errorf("%s: after %s", name, took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := do(ctx, &Service{store: slow{}}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, and nobody waits: %v", name, err)
			}
		})
	}
	for name, req := range map[string]*Request{
		"an object":  {Op: Get, List: list, ID: "r", Query: search},
		"a list":     {Op: Get, List: list, Query: Everything()},
		"its number": {Op: Count, List: list, Query: Everything()},
	} {
		synctest.Test(t, func(t *testing.T) {
			if _, err := (&Service{store: slow{}}).Do(t.Context(), req); err == nil || err.Error() != "nobody gave up" {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// Whoever has gone costs nothing more, also in the middle of a large object.
func TestALargeObjectIsLeftInTheMiddle(t *testing.T) {
	filter, err := ParseFilter("like_a", []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	q := Everything()
	q.Filters = []Filter{filter, filter, filter}
	q.ended = func() bool { looks++; return looks > 1 }
	small, large := Object{Data: []byte(`{"a":"x"}`)}, Object{Data: []byte(`{"a":"` + strings.Repeat("x", largeObject) + `"}`)}
	if !q.Matches(&small) || looks != 0 {
		t.Errorf("a small one: %d looks", looks)
	}
	if q.Matches(&large) || looks != 2 {
		t.Errorf("a large one: %d looks", looks)
	}
}
