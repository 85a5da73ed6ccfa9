package report

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Health is what the server says of itself on the Local listener, GET /health:
// with status 200 when it is to be left alone, else 503. The supervisor believes it, and
// starts a server anew that is not well and makes no progress. One whose database is
// another machine's is left alone without it, and goes on by itself when it is back; so
// is one whose database is damaged, which no start mends.
type Health struct {
	OK                 bool                   `json:"ok"`
	Version            string                 `json:"version"`
	Opening            bool                   `json:"opening,omitempty"` // it has not opened its data yet
	Failed             bool                   `json:"failed,omitempty"`  // it could not: Trouble says why. It goes on by itself when that is mended
	Claimed            bool                   `json:"claimed"`
	Data               string                 `json:"data,omitempty"`     // the id of the data, once there is an owner
	Shared             bool                   `json:"shared,omitempty"`   // the data are in a database server, not in the data folder
	People             int                    `json:"people"`             // who have an account, as counted within the last minute, up to 1000
	Requests           uint64                 `json:"requests"`           // begun since this process was started
	Accepted           map[string]uint64      `json:"accepted,omitempty"` // connections taken since this process was started, by the address of the listener
	Progress           uint64                 `json:"progress"`           // grows with whatever is read and written
	Busy               bool                   `json:"busy,omitempty"`     // the storage answers others and is late for the probe
	Memory             int64                  `json:"memory"`             // of this process, in bytes: nobody else may look (host.NoCoreFiles)
	Storage            string                 `json:"storage"`            // what is wrong with it, for the log; empty: nothing
	Trouble            *Problem               `json:"trouble,omitempty"`  // the same for a person, where that is known
	Fingerprint        string                 `json:"fingerprint"`
	Words              map[hint.Lang][]string `json:"words"`
	Names              []string               `json:"names"`
	CertificateExpires time.Time              `json:"certificate_expires,omitzero"`
	Certificates       []Served               `json:"certificates,omitempty"` // of the names that should not be the home CA's alone
}

// SafeEnv is the variable by which a supervisor has a server that kept dying serve in safe mode:
// "1".
const SafeEnv = "FOYER_SAFE_MODE"

// Served is what a visitor gets who comes by one name, and why it is not better.
type Served struct {
	Name    string    `json:"name"`
	Issuer  string    `json:"issuer"` // who signed; empty: nobody answered
	Home    bool      `json:"home"`   // the home CA, which strangers do not trust
	Ends    time.Time `json:"ends,omitzero"`
	Failure *Failure  `json:"failure,omitempty"` // nil: all is well, or it is being ordered
}

// Failure is why a name has not got the certificate it should have, in words.
type Failure struct {
	// Kind is what went wrong: connection, dns, caa, unauthorized, rate-limited and
	// refused come from the certificate authority; unreachable, clock, held-back,
	// dns-missing, dns-provider, rehearsal and settings are found here; own-unreadable, own-mismatch, own-over
	// and own-foreign are of files the owner brought.
	Kind   string    `json:"kind"`
	What   hint.Text `json:"what"`
	Do     hint.Text `json:"do"`
	Reason string    `json:"reason"` // in the words of who refused; may be empty
	At     time.Time `json:"at"`
}

// Error is the English sentence with the reason, for the log.
func (f *Failure) Error() string {
	if f.Reason == "" {
		return f.What.EN
	}
	return f.What.EN + " (" + f.Reason + ")"
}

// CheckLine is one line of the answer to POST /check on the Local listener: how far the check
// is, or, in the last one, what came of it.
type CheckLine struct {
	Done  int64      `json:"done"` // objects read
	Of    int64      `json:"of"`   // 0: nobody knows
	Said  *hint.Text `json:"said,omitempty"`
	Ended bool       `json:"ended,omitempty"`
	Error *Problem   `json:"error,omitempty"` // of the last one
}

// Used is what takes room in the database and beside it: the answer to POST /usage on the
// Local listener, and the result of the job what-takes-room, which adds what is left.
type Used struct {
	People  []UsedBy   `json:"people"`  // who made the buckets, the most first; at most 50
	Buckets []UsedIn   `json:"buckets"` // those with something in them, the largest first; at most 50
	Kinds   []UsedKind `json:"kinds"`   // the largest first
	Files   int64      `json:"file_bytes"`
	Free    uint64     `json:"free_bytes"` // on the disk of the data
	Total   uint64     `json:"total_bytes"`
}

// UsedBy is what the buckets of somebody hold.
type UsedBy struct {
	Who     string `json:"who"` // a principal
	Records int    `json:"records"`
	Bytes   int64  `json:"bytes"`      // of objects, and what is left of deleted ones
	Files   int64  `json:"file_bytes"` // of attachments
}

// UsedIn is what a bucket holds, without its attachments.
type UsedIn struct {
	Bucket  string `json:"bucket"`
	Who     string `json:"who"`
	Objects int    `json:"objects"` // tombstones, too
	Bytes   int64  `json:"bytes"`
}

// UsedKind is what objects of a kind hold together.
type UsedKind struct {
	Kind    string `json:"kind"`
	Objects int    `json:"objects"` // tombstones, too
	Bytes   int64  `json:"bytes"`
}
