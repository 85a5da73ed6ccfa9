package dnsprovider

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/libdns/libdns"
)

// discreet is a provider whose errors do not tell its credentials: they reach the
// log, the status and the screen.
type discreet struct {
	Provider
	*discretion
}

// discretion takes secrets out of errors.
type discretion struct{ secrets *strings.Replacer }

// open are the keys of credentials that are no secret: who asks, and where.
var open = map[string]bool{"server": true, "server_url": true, "endpoint": true, "key_name": true, "key_alg": true, "customer_number": true}

func newDiscretion(credentials map[string]string) *discretion {
	var pairs []string
	for key, value := range credentials {
		if open[key] || value == "" {
			continue
		}
		for _, as := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			pairs = append(pairs, as, "…")
		}
	}
	return &discretion{strings.NewReplacer(pairs...)}
}

// of returns err without secrets. Only that a context ended is still to be found in
// it: whatever else it wraps may hold them.
func (d *discretion) of(err error) error {
	if err == nil {
		return nil
	}
	told := &told{text: d.secrets.Replace(err.Error())}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			told.end = end
		}
	}
	return told
}

type told struct {
	text string
	end  error // of a context; nil: not that
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.end }

// GetRecords implements libdns.RecordGetter.
func (d discreet) GetRecords(ctx context.Context, zone string) ([]libdns.Record, error) {
	recs, err := d.Provider.GetRecords(ctx, zone)
	return recs, d.of(err)
}

// AppendRecords implements libdns.RecordAppender.
func (d discreet) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := d.Provider.AppendRecords(ctx, zone, recs)
	return recs, d.of(err)
}

// SetRecords implements libdns.RecordSetter.
func (d discreet) SetRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := d.Provider.SetRecords(ctx, zone, recs)
	return recs, d.of(err)
}

// DeleteRecords implements libdns.RecordDeleter.
func (d discreet) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := d.Provider.DeleteRecords(ctx, zone, recs)
	return recs, d.of(err)
}
