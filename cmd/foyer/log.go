package main

import (
	"fmt"
	"io"
	"log/slog"
)

// logger is the log of a long-running command: to w, at level debug when
// FOYER_LOG says so, without the time where the service manager's journal adds it.
// Every record is one line, of which no part is longer than longestLogged: the handler
// quotes control characters, line ends and what is invisible, so that the log still
// tells what came.
func (c *console) logger(w io.Writer) *slog.Logger {
	timed := c.getenv("JOURNAL_STREAM") == ""
	opts := &slog.HandlerOptions{ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
		switch {
		case attr.Key == slog.TimeKey && len(groups) == 0 && !timed:
			return slog.Attr{}
		case attr.Key == slog.LevelKey && len(groups) == 0:
			return attr
		}
		return shortened(attr)
	}}
	if c.getenv("FOYER_LOG") == "debug" {
		opts.Level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// longestLogged is how many bytes of one attribute are logged: strangers write
// some of them, and a stack must fit.
const longestLogged = 16 << 10

func shortened(attr slog.Attr) slog.Attr {
	text := ""
	switch attr.Value.Kind() {
	case slog.KindString:
		text = attr.Value.String()
	case slog.KindAny:
		text = fmt.Sprintf("%+v", attr.Value.Any())
	}
	if len(text) > longestLogged {
		attr.Value = slog.StringValue(text[:longestLogged] + "…")
	}
	return attr
}
