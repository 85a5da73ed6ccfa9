package kinto

import (
	"context"
	"time"
)

// Note returns a value that SetNote keeps, or nil. Inside Together nobody else
// reads or changes it until the transaction ends.
func (s *Service) Note(ctx context.Context, key string) (value []byte, err error) {
	err = s.store.Read(ctx, func(tx Reader) error {
		value, err = tx.Note(key)
		return err
	})
	return value, err
}

// SetNote keeps a value until a time; nil forgets it.
func (s *Service) SetNote(ctx context.Context, key string, value []byte, until time.Time) error {
	return s.store.Write(ctx, nil, func(tx Tx) error { return tx.SetNote(key, value, until) })
}

// Watch is that of the store.
func (s *Service) Watch(l List) (changed <-chan struct{}, stop func()) { return s.store.Watch(l) }
