package certs

import (
	"context"
	"log/slog"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo makes a zap logger for certmagic that writes to log. What certmagic calls
// info is debug to us: what an owner would care for comes by its events.
func zapTo(log *slog.Logger) *zap.Logger { return zap.New(&zapCore{log: log}) }

type zapCore struct {
	log    *slog.Logger
	fields []zapcore.Field
}

func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelError
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (c *zapCore) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), slogLevel(l))
}

func (c *zapCore) With(fields []zapcore.Field) zapcore.Core {
	return &zapCore{c.log, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c *zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		// Bytes and whatever is called a key or PEM stay out of the log; so do unknown types.
		if name := strings.ToLower(f.Key); strings.Contains(name, "key") || strings.Contains(name, "pem") ||
			f.Type == zapcore.BinaryType || f.Type == zapcore.ByteStringType || f.Type == zapcore.ReflectType {
			continue
		}
		f.AddTo(enc)
	}
	attrs := []any{"part", "certmagic"}
	for k, v := range enc.Fields {
		if k == "error" {
			k = "err"
		}
		attrs = append(attrs, k, v)
	}
	c.log.Log(context.Background(), slogLevel(e.Level), e.Message, attrs...)
	return nil
}

func (c *zapCore) Sync() error { return nil }
