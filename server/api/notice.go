package api

import (
	"log/slog"
	"sync"
	"time"
)

// noticeEvery is how often the log is told of one kind of trouble.
const noticeEvery = time.Minute

// notices are what the log is told of trouble that comes with many requests: of each kind
// one line at once, and then one in a minute at most, with how many there were. It is
// safe for concurrent use.
type notices struct {
	log *slog.Logger

	mu   sync.Mutex
	told map[string]*noticed // by kind; the kinds are those in the source
}

type noticed struct {
	at    time.Time
	times int // since then
}

func newNotices(log *slog.Logger) *notices { return &notices{log: log, told: map[string]*noticed{}} }

// error tells the log of one more of a kind.
func (n *notices) error(kind string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	t := n.told[kind]
	if t == nil {
		t = &noticed{}
		n.told[kind] = t
	}
	if t.times++; now.Sub(t.at) < noticeEvery {
		return
	}
	n.log.Error(kind, "err", err, "times", t.times)
	t.at, t.times = now, 0
}
