package osupdate

import "cmp"

// Setup is what is set up for a system to install its updates by itself, as an install of
// Foyer sees it.
type Setup struct {
	// Ours: it is a Debian or Raspberry Pi OS, of which the installer may be set up.
	Ours      bool
	Elsewhere string // who else sees to the updates; empty: nobody that is known
	// Installer: unattended-upgrades is installed; Restarter: needrestart is.
	Installer, Restarter bool
	// Off: the person has switched it off.
	Off     bool
	Systemd bool // its timers start it
}

// Names of the packages.
const (
	InstallerPackage = "unattended-upgrades"
	RestarterPackage = "needrestart"
)

// SetupOf reads what is set up on a system; ownFile is Foyer's own file of apt's settings, which does
// not count.
func SetupOf(root, ownFile string) Setup {
	t := tree(cmp.Or(root, "/"))
	s := readSystem(t)
	if !s.Apt {
		return Setup{}
	}
	p := readPackages(t)
	a := readAutomatic(t, p)
	conf := readConf(t, ownFile)
	return Setup{
		Ours: s.ours(), Elsewhere: a.Elsewhere, Installer: a.Installer, Restarter: p.has(RestarterPackage),
		Off:     conf["apt::periodic::unattended-upgrade"] == "0" || conf["apt::periodic::update-package-lists"] == "0" || conf["apt::periodic::enable"] == "0",
		Systemd: t.has("etc/systemd/system"),
	}
}
