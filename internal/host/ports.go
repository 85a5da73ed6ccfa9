package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/foyer-server/foyer/internal/hint"
)

// Owner is a process that listens on a TCP port.
type Owner struct {
	PID  int    // 0 when it could not be told (that takes root)
	Name string // of the program, e.g. "nginx"; "" when it could not be told
	Exe  string // its file; "" when it could not be told
}

// PortOwner tells who listens on a TCP port of this machine, on whatever address.
// Of several processes that share the socket it names the first one that is not
// the init system. taken is false when nobody listens, or where the system does
// not say (Darwin, Windows).
func PortOwner(port int) (o Owner, taken bool, err error) { return portOwner(port) }

// PortTaken makes the error of a failed listen on port one a person can act on:
// code port-taken, or need-root when the port may only be opened with more rights.
func PortTaken(port int, err error) error {
	switch {
	case addressInUse(err):
		o, _, _ := PortOwner(port) // the name is an extra
		return TakenBy(port, o).Because(err)
	case errors.Is(err, os.ErrPermission):
		return hint.New("need-root", hint.T("Port %d may only be opened with the administrator's rights.", "Le port %d ne s'ouvre qu'avec les droits d'administrateur.", port), hint.Text{},
			hint.T("Put sudo in front of the command, or choose a port above 1023.", "Mettez sudo devant la commande, ou choisissez un port au-dessus de 1023.")).Because(err).Exits(hint.ExitNeedRoot)
	}
	return fmt.Errorf("cannot listen on port %d: %w", port, err)
}

// TakenBy is the error for a port that o already answers on.
func TakenBy(port int, o Owner) *hint.Error {
	who := hint.T("Another program", "Un autre programme")
	if o.Name != "" {
		who = hint.Verbatim(o.Name)
	}
	what := hint.T("%s already answers on this machine (port %d).", "%s répond déjà sur cette machine (port %d).", who, port)
	if port == 80 || port == 443 {
		what = hint.T("%s already answers the web on this machine (port %d).", "%s répond déjà au web sur cette machine (port %d).", who, port)
	}
	return hint.New("port-taken", what, hint.T("It was left alone; nothing was changed.", "Il a été laissé tranquille ; rien n'a été changé."),
		hint.T("Stop it, or give Foyer other ports, e.g. --http-port %s --https-port %s.", "Arrêtez-le, ou donnez d'autres ports à Foyer, par exemple --http-port %s --https-port %s.", strconv.Itoa(8080), strconv.Itoa(8443)))
}
