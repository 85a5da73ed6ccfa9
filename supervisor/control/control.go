// Package control is the supervisor's door for people on the machine: a unix
// socket through which the command line, the terminal screens and, later, the web
// pages ask how things are and ask for things to be done.
//
// The protocol is HTTP with JSON over RUN/control.sock (docs/control.md).
//
// Threat model: everybody on the machine may connect; only root and the user the
// supervisor runs as are answered. Who connects is told by the kernel
// (SO_PEERCRED, unix(7)), not by what they say. Nothing secret is sent but a new
// claim code, or the code that confirms a change, to whom asked for one. Who asks is often root at a terminal, and who
// answers the user foyer, which faces the network: what the client returns is clean
// (hint.Clean) whatever was sent.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Appliance is what stands behind the door.
type Appliance interface {
	Status(ctx context.Context) report.Status
	NewClaim(ctx context.Context) (code string, expires time.Time, err error) // hint "claim-done" when there is an owner
	NewReset(ctx context.Context) (code string, expires time.Time, err error) // hint "claim-open" when there is none
	Log(lines int) []string                                                   // the newest lines of supervisor and server
	Restart(ctx context.Context)                                              // has the server finish its requests and starts a new one

	Jobs() *job.Manager // what takes longer, to be looked at
	// Start begins a job, if by may have it; Cancel has one end.
	Start(kind string, args map[string]string, by Asker) (job.Record, error)
	Cancel(id string, by Asker) (job.Record, error)
	// Backups is the backup of this Foyer; nil: it makes none.
	Backups() Backups
	// Changes changes the answers to the wizard's questions.
	Changes() Changes
	// Prove says which owner's session a cookie of the pages is, and when they signed in. It
	// looks in the data itself: the server's word is not enough.
	Prove(ctx context.Context, cookie string) (owner string, signedIn time.Time, err error)
	// Apart reports whether the user this runs as is nobody's else: whoever asks as that
	// user is then the server, which faces the network and may ask for little.
	Apart() bool
}

// Claim is the answer to a request for a new code.
type Claim struct {
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

// SocketPath is the socket in run folder dir.
func SocketPath(dir string) string { return filepath.Join(dir, "control.sock") }

// Serve answers on l until ctx ends; it closes l. It answers root and the user
// this process runs as, nobody else.
func Serve(ctx context.Context, l net.Listener, a Appliance, log *slog.Logger) error {
	return serveFor(ctx, l, a, log, os.Geteuid())
}

// serveFor answers root and the user owner.
func serveFor(ctx context.Context, l net.Listener, a Appliance, log *slog.Logger, owner int) error {
	d := &door{a: a, owner: owner, log: log}
	srv := &http.Server{
		Handler:           d.friends(d.all(), d.forPages()),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c)
		},
	}
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(ended)
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if srv.Shutdown(drain) != nil {
			srv.Close()
		}
	}()
	err := srv.Serve(l)
	cancel()
	<-ended
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("cannot serve the control socket: %w", err)
}

// readTimeout is how long a request may take to come.
const readTimeout = 10 * time.Second

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the asker has gone: nobody is left to tell
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(report.ProblemOf(err)) //nolint:errcheck // as above
}

// Client asks the supervisor. The zero value is not usable: see Dial.
type Client struct {
	socket string
	http   *http.Client
}

// Dial returns a client of the supervisor whose run folder is dir. It does not
// connect yet. The methods return hint "not-running" when nobody answers there
// and "need-root" when the asker may not ask. What they return, errors too, is fit to
// be shown.
func Dial(dir string) *Client {
	socket := SocketPath(dir)
	return &Client{socket, &http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", socket)
			},
		},
	}}
}

// Socket is the path of the control socket.
func (c *Client) Socket() string { return c.socket }

// Status asks how things are.
func (c *Client) Status(ctx context.Context) (report.Status, error) {
	return ask[report.Status](ctx, c, http.MethodGet, "/status")
}

// NewClaim asks for a new claim code; the one before stops working.
func (c *Client) NewClaim(ctx context.Context) (Claim, error) {
	return ask[Claim](ctx, c, http.MethodPost, "/claim")
}

// NewReset asks for a code with which the owner chooses another password; the one
// before stops working.
func (c *Client) NewReset(ctx context.Context) (Claim, error) {
	return ask[Claim](ctx, c, http.MethodPost, "/claim/reset")
}

// Restart asks that the server finish its requests and a new one be started; it
// does not wait for that.
func (c *Client) Restart(ctx context.Context) error {
	_, err := ask[struct{}](ctx, c, http.MethodPost, "/restart")
	return err
}

// Log asks for the newest log lines, oldest first.
func (c *Client) Log(ctx context.Context, lines int) ([]string, error) {
	return ask[[]string](ctx, c, http.MethodGet, "/log?lines="+strconv.Itoa(lines))
}

// ask is the one way in for what the other side says, but for streams.
func ask[T any](ctx context.Context, c *Client, method, path string) (got T, err error) {
	return askWith[T](ctx, c, method, path, nil)
}

// askWith is ask with a body, as JSON; nil: none.
func askWith[T any](ctx context.Context, c *Client, method, path string, with any) (got T, err error) {
	var text []byte
	if with != nil {
		if text, err = json.Marshal(with); err != nil {
			return got, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, bytes.NewReader(text))
	if err != nil {
		return got, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return got, notAnswering(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return got, fmt.Errorf("cannot read the supervisor's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return got, refused(resp.Status, body)
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return got, fmt.Errorf("cannot read the supervisor's answer: %w", err)
	}
	return hint.Clean(got), nil
}

// refused is the error of an answer other than 200.
func refused(status string, body []byte) error {
	var p report.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return errors.New(hint.Sprintf(hint.EN, "the supervisor answered %s: %s", status, bytes.TrimSpace(body)))
	}
	p = hint.Clean(p)
	e := hint.New(p.Code, p.What, p.Did, p.Do)
	if p.Code == "need-root" {
		e = e.Exits(hint.ExitNeedRoot)
	}
	return e
}

func notAnswering(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return hint.New("need-root",
			hint.T("Only the administrator of this machine may ask Foyer this.", "Seul l'administrateur de cette machine peut demander cela à Foyer."), hint.Text{},
			hint.T("Put sudo in front of the command.", "Mettez sudo devant la commande.")).Because(err).Exits(hint.ExitNeedRoot)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return hint.New("not-running",
			hint.T("Foyer is not running on this machine.", "Foyer ne tourne pas sur cette machine."), hint.Text{},
			hint.T("Start it with `sudo systemctl start foyer`, or install it with `sudo foyer install`.", "Démarrez-le par `sudo systemctl start foyer`, ou installez-le par `sudo foyer install`.")).Because(err)
	}
	return fmt.Errorf("cannot ask the supervisor: %w", err)
}
