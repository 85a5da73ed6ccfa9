package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

const systemdDir = "/etc/systemd/system"

// StateName is the folder in /var/lib that is the supervisor's own (package supervisor
// knows it by this name): outside the data, for what is to be known of them when they are
// gone.
const StateName = Name + "-supervisor"

// removeState takes that folder away with the service. What it knows is learned again
// from data that are there. /var/lib is root's, so that nothing else can stand in its
// place.
func (s *Service) removeState() error {
	if err := os.RemoveAll(s.path("/var/lib/" + StateName)); err != nil {
		return fmt.Errorf("cannot take the supervisor's folder away: %w", err)
	}
	return atomicfile.SyncDir(s.path("/var/lib"))
}

// Units returns the files this package writes for the service manager of cfg,
// the socket before the service that needs it.
func Units(cfg Config) []File {
	at := func(p string) string { return filepath.Join("/", cfg.Root, p) }
	switch cfg.Manager {
	case host.Systemd:
		return []File{
			{at(systemdDir + "/" + Name + ".socket"), socketUnit(cfg), 0o644, socketWhy(cfg)},
			{at(systemdDir + "/" + Name + ".service"), serviceUnit(cfg), 0o644, hint.T(
				"starts Foyer at boot and whenever it stops, shut in as far as it goes", "démarre Foyer avec la machine et dès qu'il s'arrête, aussi enfermé que possible")},
		}
	case host.OpenRC:
		return []File{{at("/etc/init.d/" + Name), openRCScript(cfg), 0o755, hint.T(
			"starts Foyer at boot and whenever it stops", "démarre Foyer avec la machine et dès qu'il s'arrête")}}
	}
	return nil
}

func socketWhy(cfg Config) hint.Text {
	if cfg.Listen != "" {
		return hint.T("keeps %s open for your proxy, across every restart", "garde %s ouvert pour votre mandataire, à travers chaque redémarrage", cfg.Listen)
	}
	return hint.T("keeps ports %d and %d open, across every restart", "garde les ports %d et %d ouverts, à travers chaque redémarrage", cfg.HTTPPort, cfg.HTTPSPort)
}

// socketUnit: a port alone is every IPv6 address and, with BindIPv6Only=both, every
// IPv4 one; on a kernel without IPv6 systemd takes IPv4 alone (systemd.socket(5)).
func socketUnit(cfg Config) string {
	listen := fmt.Sprintf("ListenStream=%d\nListenStream=%d\nBindIPv6Only=both", cfg.HTTPPort, cfg.HTTPSPort)
	if cfg.Listen != "" {
		listen = "ListenStream=" + cfg.Listen
	}
	return fmt.Sprintf(`# Written by Foyer. Change it with "systemctl edit foyer.socket" rather than here.
[Unit]
Description=Foyer: the ports visitors come in by
Documentation=https://github.com/foyer-server/foyer
StartLimitIntervalSec=0

[Socket]
%s
Backlog=4096
KeepAlive=yes
NoDelay=yes

[Install]
WantedBy=sockets.target
`, listen)
}

// serviceUnit is the unit of `foyer supervise`.
//
// It never gives up (StartLimitIntervalSec=0, Restart=always; Run holds a start
// that fails at once). AF_NETLINK is how a program learns this machine's own
// addresses. PrivateUsers= leaves root and the service's user, so that the control
// socket still knows who asks. prlimit and the scheduling calls of @resources are
// refused with an error, not a signal: the Go runtime asks and does without.
// The memory of the machine is shared with a database server, perhaps: at half of it the
// kernel takes back what it can, at seven tenths the server is ended and started again,
// and nothing else on the machine is. (The server itself collects at a quarter.) No core
// file is written, nor piped to a program that collects them: what the limit leaves to
// such programs, host.NoCoreFiles does. GOTRACEBACK=crash would ask for one.
// A disk with the data that is not there when the machine starts does not keep the service
// from starting (no RequiresMountsFor=, and "-" before the folder): the supervisor says what
// is missing, writes nothing in its place, and begins anew when it is mounted.
func serviceUnit(cfg Config) string {
	data := filepath.ToSlash(cfg.DataDir)
	var folders []string
	if data == "/var/lib/"+Name {
		folders = append(folders, "StateDirectory="+Name+" "+StateName, "StateDirectoryMode=0700")
	} else {
		folders = append(folders, "StateDirectory="+StateName, "StateDirectoryMode=0700", "ReadWritePaths="+quoteUnit("-"+data))
	}
	home := "ProtectHome=yes"
	for _, private := range []string{"/home/", "/root/", "/run/user/"} {
		if strings.HasPrefix(data+"/", private) { // an empty /home with the data folder in it
			home = "ProtectHome=tmpfs\nBindPaths=" + quoteUnit("-"+data)
		}
	}
	return fmt.Sprintf(`# Written by Foyer. Change it with "systemctl edit foyer" rather than here.
[Unit]
Description=Foyer, a personal storage server
Documentation=https://github.com/foyer-server/foyer
Wants=network-online.target time-sync.target
After=network-online.target time-sync.target foyer.socket
Requires=foyer.socket
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=%[1]s supervise
Sockets=foyer.socket
User=%[2]s
Group=%[2]s
WatchdogSec=30
Restart=always
RestartSec=1
TimeoutStartSec=300
TimeoutStopSec=30
KillMode=mixed
OOMPolicy=continue
LimitNOFILE=65536
LimitCORE=0
Environment=GOTRACEBACK=single
MemoryHigh=50%%
MemoryMax=70%%
TasksMax=2048
UMask=0077
RuntimeDirectory=foyer
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=no
%[3]s

# What it may do on this machine: answer the network, write its data, nothing else.
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
PrivateUsers=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
ProtectSystem=strict
%[4]s
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
Also=foyer.socket
`, quoteUnit(filepath.ToSlash(cfg.Executable)), cfg.User, strings.Join(folders, "\n"), home)
}

// quoteUnit writes a path for a unit file: % begins a specifier, and a name with
// white space, quotes or backslashes is quoted (systemd.syntax(7)). No {{ is left
// for the template language of kardianos/service.
func quoteUnit(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if strings.ContainsAny(path, " \t\"'\\;{") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "{", `\x7b`).Replace(path) + `"`
	}
	return path
}

// openRCScript is the script for supervise-daemon (openrc-run(8)). It may open
// ports below 1024 and nothing else. The limits are those of the systemd unit; OpenRC
// sets those of memory and tasks where control groups are (rc_cgroup_settings).
func openRCScript(cfg Config) string {
	quote := func(s string) string {
		return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "'", `'\''`), "{{", `{'{'`) + "'"
	}
	return fmt.Sprintf(`#!/sbin/openrc-run
# Written by Foyer.
name="Foyer"
description="Foyer, a personal storage server"
supervisor=supervise-daemon
command=%s
command_args="supervise"
command_user="%[2]s:%[2]s"
capabilities="^cap_net_bind_service"
umask=0077
respawn_delay=1
respawn_max=0
rc_ulimit="-n 65536"
_kb=$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
: "${rc_cgroup_settings:=pids.max 2048
memory.high $((${_kb:-0} * 512))
memory.max $((${_kb:-0} * 716))}"
export GOTRACEBACK=single STATE_DIRECTORY=/var/lib/%[3]s
output_logger="logger -t foyer"
error_logger="logger -t foyer"

depend() {
	need net localmount
	after ntp-client chronyd ntpd firewall
}

start_pre() {
	ulimit -c 0
	checkpath --directory --owner "%[2]s:%[2]s" --mode 0755 /run/foyer
	checkpath --directory --owner "%[2]s:%[2]s" --mode 0700 /var/lib/%[3]s
}
`, quote(cfg.Executable), cfg.User, StateName)
}
