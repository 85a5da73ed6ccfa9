package server

import (
	"log/slog"
	"math"
	"runtime"
)

// room is how much this process has for those who come, by the files it may have open
// (RLIMIT_NOFILE, getrlimit(2)): a connection is one, and so is an attachment that is sent
// or received, of which a connection of HTTP/2 may carry many.
type room struct {
	connections int // held at once
	files       int // of attachments open at once
}

// What is left for everything else: the database (a few files for each of its
// connections, whose number goes with the processors), listeners, the supervisor's looks,
// what the server itself asks of others, and connections that are being closed.
const (
	reserve       = 64
	reserveEach   = 6    // for each processor
	leastRoom     = 8    // as the setting has it
	filesUnbound  = 4096 // where the system does not bound open files
	connectionsOf = 4    // of so many files left …
	connectionsIn = 3    // … so many are for connections
)

// roomFor is the room for as many connections as the settings want, in a process that
// may have so many files open (0: any number). It says so when that is fewer.
func roomFor(wanted, open int, log *slog.Logger) room {
	if open <= 0 {
		return room{wanted, filesUnbound}
	}
	left := open - reserve - reserveEach*runtime.GOMAXPROCS(0)
	most := max(leastRoom, left/connectionsOf*connectionsIn)
	r := room{connections: min(wanted, most)}
	r.files = min(max(leastRoom, left-r.connections), math.MaxInt32)
	if most < wanted {
		log.Warn("this process may have few files open, so that it holds fewer connections than the settings allow",
			"connections", r.connections, "setting", wanted, "open_files", open)
	}
	return r
}
