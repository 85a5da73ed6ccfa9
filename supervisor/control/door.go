package control

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Asker is who asks for a job: somebody on this machine, as the kernel says, or an owner by a
// page of the server, as the data say.
type Asker struct {
	Name     string    // of their account: of the machine, or by a page of the server
	Page     bool      // an owner, by a page
	SignedIn time.Time // when that owner did
}

// door is the socket, and who may ask what through it. Root may ask for everything, and
// so may the user that this runs as, where that is a person. Where it is nobody's user
// but Foyer's (Appliance.Apart), who asks as that is the server: it may look, ask for jobs
// and changes in the name of an owner whose cookie it has, and confirm a change with its code.
type door struct {
	a     Appliance
	owner int // the user this runs as
	log   *slog.Logger
}

type peerKey struct{}

// peer is the user at the other end.
func peer(r *http.Request) (uid int, err error) {
	conn, _ := r.Context().Value(peerKey{}).(net.Conn)
	return peerUID(conn)
}

// isServer reports whether the user at the other end is the server.
func (d *door) isServer(uid int) bool { return uid != 0 && uid == d.owner && d.a.Apart() }

// friends leads root and the user that this runs as on, and refuses everybody else.
func (d *door) friends(all, forPages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, err := peer(r)
		if err != nil || (uid != 0 && uid != d.owner) {
			d.log.Warn("control socket: stranger refused", "uid", uid, "err", err)
			refuse(w, http.StatusForbidden, needRoot())
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if d.isServer(uid) {
			forPages.ServeHTTP(w, r)
			return
		}
		all.ServeHTTP(w, r)
	})
}

func needRoot() *hint.Error {
	return hint.New("need-root",
		hint.T("Only the administrator of this machine may ask Foyer this.", "Seul l'administrateur de cette machine peut demander cela à Foyer."), hint.Text{},
		hint.T("Put sudo in front of the command.", "Mettez sudo devant la commande."))
}

// asker is who asks for a job. With a cookie it is the owner whose it is, whoever sends it.
func (d *door) asker(r *http.Request, cookie string) (Asker, error) {
	uid, err := peer(r)
	switch {
	case err != nil:
		return Asker{}, err
	case cookie != "":
		owner, at, err := d.a.Prove(r.Context(), cookie)
		return Asker{owner, true, at}, err
	case d.isServer(uid):
		return Asker{}, needRoot()
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return Asker{Name: u.Username}, nil
	}
	return Asker{Name: strconv.Itoa(uid)}, nil
}

// forPages is what the server may ask.
func (d *door) forPages() http.Handler {
	mux := http.NewServeMux()
	d.status(mux)
	d.jobs(mux)
	d.changes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d.log.Warn("control socket: the server asked for what is not for it", "method", r.Method)
		refuse(w, http.StatusForbidden, needRoot())
	})
	return mux
}

// all is what the administrator may ask.
func (d *door) all() http.Handler {
	mux := http.NewServeMux()
	d.status(mux)
	d.jobs(mux)
	d.changes(mux)
	d.backups(mux)
	code := func(path string, make func(context.Context) (string, time.Time, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			code, expires, err := make(r.Context())
			if err != nil {
				refuse(w, http.StatusConflict, err)
				return
			}
			answer(w, Claim{code, expires})
		})
	}
	code("/claim", d.a.NewClaim)
	code("/claim/reset", d.a.NewReset)
	mux.HandleFunc("POST /restart", func(w http.ResponseWriter, r *http.Request) {
		d.a.Restart(r.Context())
		answer(w, struct{}{})
	})
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("lines"))
		if err != nil || n < 1 || n > 10000 {
			n = 100
		}
		answer(w, hint.Clean(d.a.Log(n)))
	})
	return mux
}

func (d *door) status(mux *http.ServeMux) {
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, hint.Clean(d.a.Status(r.Context())))
	})
}
