package service

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
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

// HelperName is the unit of what root does at the service's request, the folder of
// requests in /run, which is user foyer's, and the folder of root's own in /var/lib
// (package helper knows them by this name).
const HelperName = Name + "-helper"

// DrillName is the unit in which a backup is restored to see that it can be. The helper starts
// it (systemd-run), and it has no file.
const DrillName = Name + "-drill"

// removeState takes those folders away with the service. What the supervisor's knows is
// learned again from data that are there. /var/lib is root's, so that nothing else can
// stand in their place.
func (s *Service) removeState() error {
	for _, name := range []string{StateName, HelperName} {
		if err := os.RemoveAll(s.path("/var/lib/" + name)); err != nil {
			return fmt.Errorf("cannot take the folder %s away: %w", name, err)
		}
	}
	return atomicfile.SyncDir(s.path("/var/lib"))
}

// Units returns the files this package writes for the service manager of cfg,
// the socket and the helper before the service that needs them.
func Units(cfg Config) []File {
	at := func(p string) string { return filepath.Join("/", cfg.Root, p) }
	switch cfg.Manager {
	case host.Systemd:
		return []File{
			{at(systemdDir + "/" + Name + ".socket"), socketUnit(cfg), 0o644, socketWhy(cfg)},
			{at(systemdDir + "/" + HelperName + ".service"), helperUnit(cfg), 0o644, hint.T(
				"does the few things that take the administrator's rights, without network", "fait les rares choses qui demandent les droits d'administrateur, sans réseau")},
			{at(systemdDir + "/" + HelperName + ".path"), helperPathUnit(), 0o644, hint.T(
				"starts that when Foyer asks for it", "le démarre quand Foyer le demande")},
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
		folders = append(folders, "StateDirectory="+StateName, "StateDirectoryMode=0700", "ReadWritePaths="+Quote("-"+data))
	}
	if cfg.BackupDir != "" {
		folders = append(folders, "ReadWritePaths="+Quote("-"+writable(filepath.ToSlash(cfg.BackupDir))))
	}
	home := "ProtectHome=yes"
	if inAHome(data) { // an empty /home with the data folder in it
		home = "ProtectHome=tmpfs\nBindPaths=" + Quote("-"+data)
	}
	return fmt.Sprintf(`# Written by Foyer. Change it with "systemctl edit foyer" rather than here.
[Unit]
Description=Foyer, a personal storage server
Documentation=https://github.com/foyer-server/foyer
Wants=network-online.target time-sync.target foyer-helper.path
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
RuntimeDirectory=foyer foyer-helper
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
`, Quote(filepath.ToSlash(cfg.Executable)), cfg.User, strings.Join(folders, "\n"), home)
}

// inAHome reports whether a folder is one that ProtectHome= hides.
func inAHome(dir string) bool {
	return slices.ContainsFunc([]string{"/home/", "/root/", "/run/user/"}, func(private string) bool { return strings.HasPrefix(dir+"/", private) })
}

// mounts are the folders below which disks are mounted.
var mounts = []string{"/run/media", "/media", "/mnt", "/srv"}

// writable is the folder that the service may write to for the sake of one for backups.
//
// Below the usual folders for disks it is all of them, of which the permissions leave user
// foyer the one: in a folder that is bound as a whole systemd's view shows what is mounted
// later, and lets go of what is unmounted. A disk itself would be held, or hidden by the
// empty folder that stood in its place at the start. Elsewhere it is the folder above: the
// mount point, where the folder for backups is one in a disk, as Foyer makes it.
func writable(dir string) string {
	for _, top := range mounts {
		if strings.HasPrefix(dir, top+"/") {
			return top
		}
	}
	if above := path.Dir(dir); above != "/" {
		return above
	}
	return dir
}

// Hidden reports whether the service cannot see a folder, whatever its settings say: homes,
// and folders for temporary files, of which it has its own.
func Hidden(dir string) bool {
	dir = filepath.ToSlash(filepath.Clean(dir))
	return inAHome(dir) || slices.ContainsFunc([]string{"/tmp/", "/var/tmp/", "/dev/", "/proc/", "/sys/"}, func(own string) bool { return strings.HasPrefix(dir+"/", own) })
}

// helperUnit is the unit of `foyer helper`, which runs as root. foyer.service wants its path
// unit, so that the two are there together, and nothing has to be enabled.
//
// Of root's rights it has those over files: to give what was taken from user foyer back to
// it. What it is to change stands in ReadWritePaths=; the firewall's programs and smartctl
// take the machine's network or its disks, and are run by units of their own, which it asks
// systemd for. The data folder is not mounted for it (BindPaths=): systemd follows links, the
// helper does not. ProcSubset=pid would hide what it is to read.
//
// It never fails for good (StartLimitIntervalSec=0), and what cannot be started is held, so
// that a request that stays does not have it started without a pause. Whoever sends requests
// without end gets half a processor.
func helperUnit(cfg Config) string {
	data := filepath.ToSlash(cfg.DataDir)
	home := "yes"
	if inAHome(data) {
		home = "no"
	}
	return fmt.Sprintf(`# Written by Foyer. Change it with "systemctl edit foyer-helper" rather than here.
[Unit]
Description=Foyer: what takes root, at the service's request
Documentation=https://github.com/foyer-server/foyer
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=%[1]s helper
ExecStopPost=/bin/sh -c '[ "$SERVICE_RESULT" = success ] || sleep 5'
TimeoutStopSec=30
CPUQuota=50%%
MemoryMax=256M
TasksMax=128
LimitCORE=0
Environment=GOTRACEBACK=single
UMask=0077
StateDirectory=foyer-helper
StateDirectoryMode=0755
ReadWritePaths=-/run -/opt/foyer -/etc/foyer -/etc/systemd/system %[2]s

# What it may do on this machine: look at it, and set Foyer's own files right.
CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE
AmbientCapabilities=
NoNewPrivileges=yes
PrivateNetwork=yes
IPAddressDeny=any
RestrictAddressFamilies=AF_UNIX
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
ProtectSystem=strict
ProtectHome=%[3]s
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=@chown
SystemCallErrorNumber=EPERM
`, Quote(filepath.ToSlash(cfg.Executable)), Quote("-"+data), home)
}

// helperPathUnit starts it while there are requests, and while something it did is on trial
// (package helper knows that file by this name): after a crash or a power cut that goes back
// without anybody asking. It has no limit of its own, beyond which
// it would fail for good: the helper sees to the pauses.
func helperPathUnit() string {
	return `# Written by Foyer. Change it with "systemctl edit foyer-helper.path" rather than here.
[Unit]
Description=Foyer: requests for what takes root
Documentation=https://github.com/foyer-server/foyer
StartLimitIntervalSec=0

[Path]
DirectoryNotEmpty=/run/foyer-helper
PathExists=/var/lib/foyer-helper/trial.json
TriggerLimitIntervalSec=0
`
}

// Quote writes a path for a unit file: % begins a specifier, and a name with
// white space, quotes or backslashes is quoted (systemd.syntax(7)). No {{ is left
// for the template language of kardianos/service.
func Quote(path string) string {
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
