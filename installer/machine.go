package installer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/service"
	"github.com/foyer-server/foyer/supervisor/update"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// Facts are what the installer asks the machine. A nil func is this machine's;
// tests bring other ones.
type Facts struct {
	Manager   func() string                                     // the service manager, as host.ServiceManager names it
	PortOwner func(port int) (host.Owner, bool, error)          // who listens
	FreeSpace func(path string) (free, total uint64, err error) // of the disk
	ReadOnly  func(path string) bool                            // the disk is mounted read-only
	Kernel    func() (release string, major, minor int)         // that runs
	SELinux   func() bool                                       // is enforced
	// User finds an account by name. That of "root" owns what belongs to the system.
	User func(ctx context.Context, name string) (host.User, bool, error)
	// ProcessFile is the program of a process.
	ProcessFile func(pid int) (path string, deleted bool)
	// Fetches reports whether packages of the system can be fetched now.
	Fetches func(ctx context.Context) bool
	// Visit asks the server how it is, as a visitor would.
	Visit func(context.Context, visit.Visitor) error
}

func (f Facts) orReal(r host.Runner, root string) Facts {
	if f.Manager == nil {
		f.Manager = host.ServiceManager
	}
	if f.PortOwner == nil {
		f.PortOwner = host.PortOwner
	}
	if f.FreeSpace == nil {
		f.FreeSpace = atomicfile.FreeSpace
	}
	if f.ReadOnly == nil {
		f.ReadOnly = host.ReadOnly
	}
	if f.Kernel == nil {
		f.Kernel = host.Kernel
	}
	if f.SELinux == nil {
		f.SELinux = host.SELinux
	}
	if f.User == nil {
		f.User = func(ctx context.Context, name string) (host.User, bool, error) {
			if name == "root" {
				return host.User{Name: name}, true, nil
			}
			return host.LookupUser(ctx, r, root, name)
		}
	}
	if f.ProcessFile == nil {
		f.ProcessFile = host.ProcessFile
	}
	if f.Fetches == nil {
		f.Fetches = func(ctx context.Context) bool { return fetches(ctx, r) }
	}
	if f.Visit == nil {
		f.Visit = func(ctx context.Context, v visit.Visitor) error {
			_, err := v.Visit(ctx)
			return err
		}
	}
	return f
}

// machine is what the steps of one run share.
type machine struct {
	cfg         Config
	settings    *config.Settings // those in force: of the file when there is one
	history     *step.History
	service     *service.Service
	result      *Result
	exeSum      []byte // SHA-256 of the program to install
	rootUser    host.User
	gaveBack    bool          // something the service needs was given back to it, which it does not know yet
	newSettings bool          // the service has to use the settings as they are now
	keepData    bool          // data that was there before this run is not to be removed
	fetches     *bool         // packages of the system can be fetched; nil: nobody has looked yet
	left        []step.Change // what an undo did not remove, since it is not ours, or not any more
}

// newMachine gathers what the steps need. A settings file that is malformed is an
// error, unless lenient: then the answers stand in for it.
func newMachine(ctx context.Context, cfg Config, h *step.History, lenient bool) (*machine, error) {
	m := &machine{cfg: cfg, history: h, result: &Result{}}
	s, err := m.loadSettings()
	if err != nil && lenient {
		s, err = cfg.Answers.Settings()
	}
	if err != nil {
		return nil, err
	}
	return m.with(ctx, s)
}

// with is the machine with settings s in force.
func (m *machine) with(ctx context.Context, s *config.Settings) (*machine, error) {
	cfg := m.cfg
	m.settings = s
	root, ok, err := cfg.Facts.User(ctx, "root")
	if err != nil || !ok {
		return nil, fmt.Errorf("cannot find the administrator's account: %w", errors.Join(err, errors.New("there is none")))
	}
	m.rootUser = root
	m.service = service.New(service.Config{
		Manager: cfg.Facts.Manager(), Root: cfg.Root, Executable: config.SystemOpt + "/current/" + update.Program, User: config.SystemUser,
		DataDir: s.Data, HTTPPort: s.HTTPPort, HTTPSPort: s.HTTPSPort, Listen: s.Proxy.Listen, BackupDir: s.Backup.To, Runner: cfg.Runner, Register: cfg.register,
	})
	return m, nil
}

// loadSettings are the settings in force: those of the file, once it is there,
// for it belongs to the person; else those of the answers.
func (m *machine) loadSettings() (*config.Settings, error) {
	path := m.path(config.SystemFile)
	if _, err := os.Stat(path); err == nil {
		return config.Load(path, nil)
	}
	return m.cfg.Answers.Settings()
}

// path is p on the machine that is being installed.
func (m *machine) path(p string) string { return filepath.Join(m.cfg.Root, p) }

func (m *machine) optDir() string  { return m.path(config.SystemOpt) }
func (m *machine) dataDir() string { return m.path(m.settings.Data) }

// sum is the SHA-256 of the program to install.
func (m *machine) sum() ([]byte, error) {
	if m.exeSum == nil {
		sum, err := update.Sum(m.cfg.Executable)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			return nil, fmt.Errorf("cannot find the program %s", m.cfg.Executable)
		}
		m.exeSum = sum
	}
	return m.exeSum, nil
}

// owner finds the numbers of an account; ok is false while there is none.
func (m *machine) owner(ctx context.Context, name string) (uid, gid int, ok bool, err error) {
	if name == "root" {
		return m.rootUser.UID, m.rootUser.GID, true, nil
	}
	u, ok, err := m.cfg.Facts.User(ctx, name)
	return u.UID, u.GID, ok, err
}

// How a file we wish to write is found.
type fileState int

const (
	fileMissing fileState = iota
	fileSame              // as wished
	fileOurs              // as we once wrote it, or what a crash left of it
	fileEdited            // changed by hand, or never ours
)

// look compares a file with the text it is to have. A file a crash left empty
// while step was writing it is ours.
func (m *machine) look(step, path, text string) (fileState, error) {
	now, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileMissing, nil
	case err != nil:
		return 0, err
	case string(now) == text:
		return fileSame, nil
	case slices.Contains(m.history.Wrote(path), hexSum(now)):
		return fileOurs, nil
	case m.history.Open(step) && len(m.history.Wrote(path)) > 0 && (strings.HasPrefix(text, string(now)) || strings.Trim(string(now), "\x00") == ""):
		return fileOurs, nil
	}
	return fileEdited, nil
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// asideSuffix is what a file's name ends with once the file was put aside.
const asideSuffix = ".edited"

// keepEdited puts an edited file aside, before it is written anew.
func keepEdited(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, gid := host.FileOwner(fi)
	return atomicfile.WriteAs(path+asideSuffix, data, fi.Mode().Perm(), uid, gid)
}

// preflight looks for what would make an install fail halfway.
func (m *machine) preflight(ctx context.Context) error {
	nothing := hint.T("Nothing was changed.", "Rien n'a été changé.")
	if m.cfg.Root == "/" && os.Geteuid() > 0 {
		return needRoot()
	}
	switch m.service.Manager() {
	case host.Systemd, host.OpenRC:
	default: // the others Foyer could register with would run it with the administrator's rights
		return hint.New("no-service-manager",
			hint.T("Nothing on this machine can start Foyer by itself after a power cut.", "Rien sur cette machine ne peut relancer Foyer tout seul après une coupure."), nothing,
			hint.T("`foyer try` runs everything in the foreground; to install, use a Linux with systemd or OpenRC.", "`foyer try` lance tout au premier plan ; pour installer, prenez un Linux avec systemd ou OpenRC."))
	}
	if release, major, minor := m.cfg.Facts.Kernel(); major > 0 && (major < 4 || major == 4 && minor < 18) {
		return hint.New("kernel-old",
			hint.T("This system is too old to be kept safe (Linux %s).", "Ce système est trop ancien pour rester sûr (Linux %s).", release), nothing,
			hint.T("Install a current version of the operating system first.", "Installez d'abord une version actuelle du système."))
	}
	for _, p := range []string{config.SystemOpt, filepath.Dir(config.SystemFile), m.settings.Data} {
		if dir := host.Existing(m.path(p)); m.cfg.Facts.ReadOnly(dir) {
			return hint.New("target-readonly",
				hint.T("The disk that holds %s cannot be written.", "Le disque qui contient %s n'accepte pas d'écriture.", p), nothing,
				hint.T("Make it writable; a memory card that has become read-only is worn out: replace it.", "Rendez-le accessible en écriture ; une carte mémoire passée en lecture seule est usée : remplacez-la."))
		}
	}
	if err := m.checkData(); err != nil {
		return err
	}
	if !m.history.Finished() {
		if err := m.checkSpace(); err != nil {
			return err
		}
	}
	if err := m.checkVersion(); err != nil {
		return err
	}
	return m.checkPorts(ctx)
}

func needRoot() error {
	return hint.New("need-root", hint.T("This needs the administrator's rights.", "Il faut les droits d'administrateur."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Put sudo in front of the command.", "Mettez sudo devant la commande.")).Exits(hint.ExitNeedRoot)
}

// leastSpace is how much must be free to begin: the program twice over, and room
// for the data to begin with.
const leastSpace = 200 << 20

func (m *machine) checkSpace() error {
	for _, p := range []string{config.SystemOpt, m.settings.Data} {
		free, _, err := m.cfg.Facts.FreeSpace(host.Existing(m.path(p)))
		if err != nil {
			return err
		}
		if free < leastSpace {
			return hint.New("disk-full",
				hint.T("Only %d MB are free on the disk that holds %s.", "Il ne reste que %d Mo sur le disque qui contient %s.", free>>20, p), hint.T("Nothing was changed.", "Rien n'a été changé."),
				hint.T("Free %d MB, or choose another disk with --data.", "Libérez %d Mo, ou choisissez un autre disque avec --data.", leastSpace>>20))
		}
	}
	return nil
}

// ours are the names by which a folder is known to hold the data of a Foyer.
var ours = []string{"data.db", "claim.json", "certificates"}

// checkData refuses to take over a folder that is somebody else's, or that cannot
// keep data.
func (m *machine) checkData() error {
	nothing := hint.T("Nothing was changed.", "Rien n'a été changé.")
	data := filepath.ToSlash(filepath.Clean(m.settings.Data))
	for _, bad := range []string{"/tmp", "/var/tmp", "/run", "/var/run", "/dev", "/proc", "/sys", "/boot", config.SystemOpt, filepath.Dir(config.SystemFile)} {
		if data == bad || strings.HasPrefix(data, bad+"/") {
			return hint.New("data-place",
				hint.T("The folder %s cannot keep the data: the system empties or uses %s itself.", "Le dossier %s ne peut pas garder les données : le système vide ou utilise lui-même %s.", m.settings.Data, bad), nothing,
				hint.T("Choose another one: --data /var/lib/foyer, or a folder on a disk of yours.", "Choisissez-en un autre : --data /var/lib/foyer, ou un dossier sur un disque à vous."))
		}
	}
	known := slices.ContainsFunc(m.history.Made(), func(c step.Change) bool { return c.Kind == step.KindData && c.What == m.dataDir() })
	hazard, err := m.hazard()
	if err != nil {
		return m.unfit(err)
	}
	if hazard.Everybody && !known {
		return hint.New("data-place",
			hint.T("Everybody on this machine can write to %s, and put something else in the place of the data.", "Tout le monde sur cette machine peut écrire dans %s, et mettre autre chose à la place des données.", hazard.Folder), nothing,
			hint.T("Choose another folder, or take that right away: chmod o-w %s", "Choisissez un autre dossier, ou retirez ce droit : chmod o-w %s", hazard.Folder))
	}
	names, foreign := []string(nil), false
	d, err := safepath.Open(m.dataDir())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case why(err) == safepath.NotFolder:
		foreign = true
	case err != nil:
		return m.unfit(err)
	default:
		names, err = d.Names(mostNames)
		d.Close() //nolint:errcheck // it was only read
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		if slices.Contains(ours, name) {
			return nil
		}
		foreign = foreign || !lostAndFound(name)
	}
	if foreign && !known {
		return hint.New("data-foreign",
			hint.T("The folder %s holds something already that is not a Foyer's data.", "Le dossier %s contient déjà autre chose que les données d'un Foyer.", m.settings.Data), nothing,
			hint.T("Choose an empty or a new folder: --data FOLDER.", "Choisissez un dossier vide ou nouveau : --data DOSSIER."))
	}
	return nil
}

// mostNames is how many names in a data folder are looked at.
const mostNames = 100_000

// hazard is the folder on the way to the data whose writers, if they are not root
// alone, can put something else in their place.
func (m *machine) hazard() (safepath.Hazard, error) {
	d, err := safepath.Open(m.dataDir())
	if err == nil {
		defer d.Close() //nolint:errcheck // a folder, opened to be looked at
		return d.Way(), nil
	}
	if !errors.Is(err, fs.ErrNotExist) && why(err) != safepath.NotFolder {
		return safepath.Hazard{}, err
	}
	if d, err = safepath.Open(host.Existing(filepath.Dir(m.dataDir()))); err != nil {
		return safepath.Hazard{}, err
	}
	defer d.Close() //nolint:errcheck // as above
	return d.Inside()
}

// why is the reason for which root does not touch something; zero: it is not that.
func why(err error) safepath.Why {
	if e, ok := errors.AsType[*safepath.Error](err); ok {
		return e.Why
	}
	return 0
}

// unfit makes an error a person can act on of one that says that root does not touch a
// path; others stay as they are.
func (m *machine) unfit(err error) error {
	e, ok := errors.AsType[*safepath.Error](err)
	if !ok {
		return err
	}
	nothing := hint.T("Nothing was changed.", "Rien n'a été changé.")
	if e.Why == safepath.Link {
		return hint.New("data-link",
			hint.T("%s is a link that somebody other than the administrator could change: Foyer does not follow it.", "%s est un lien que quelqu'un d'autre que l'administrateur pourrait changer : Foyer ne le suit pas.", e.Path), nothing,
			hint.T("Give the folder itself, without a link: --data FOLDER.", "Donnez le dossier lui-même, sans lien : --data DOSSIER.")).Because(err)
	}
	if e.Why == safepath.Foreign {
		return hint.New("data-mixed",
			hint.T("Foyer does not take over %s: it %s.", "Foyer ne reprend pas %s : %s.", e.Path, reason(e.Why)), nothing,
			hint.T("Look at it: if it is Foyer's, `sudo chown %s: %s` gives it to Foyer; if not, move it away, or choose another folder: --data FOLDER.",
				"Examinez-le : s'il est à Foyer, `sudo chown %s: %s` le lui donne ; sinon, déplacez-le, ou choisissez un autre dossier : --data DOSSIER.", config.SystemUser, e.Path)).Because(err)
	}
	return hint.New("data-mixed",
		hint.T("Foyer does not take over %s: it %s.", "Foyer ne reprend pas %s : %s.", e.Path, reason(e.Why)), nothing,
		hint.T("Look at it and remove it; for the data another folder may be chosen: --data FOLDER.", "Examinez-le et retirez-le ; pour les données, un autre dossier peut être choisi : --data DOSSIER.")).Because(err)
}

// reason goes on after the name of something that root does not touch.
func reason(why safepath.Why) hint.Text {
	switch why {
	case safepath.Link:
		return hint.T("is a link now", "c'est maintenant un lien")
	case safepath.SecondName:
		return hint.T("has a second name elsewhere (a hard link)", "il porte un second nom ailleurs (un lien physique)")
	case safepath.Foreign:
		return hint.T("belongs to somebody else", "il appartient à quelqu'un d'autre")
	case safepath.Exchanged, safepath.NotFolder:
		return hint.T("is something else now", "c'est maintenant autre chose")
	case safepath.TooLarge:
		return hint.T("is too large", "il est trop gros")
	case safepath.TooDeep:
		return hint.T("holds folders within folders without end", "il contient des dossiers imbriqués sans fin")
	}
	return hint.T("is no ordinary file", "ce n'est pas un fichier ordinaire")
}

// leave notes what an undo does not touch, and why: unfit, or nil when others go on
// filling it.
func (m *machine) leave(c step.Change, unfit *safepath.Error) {
	why := hint.T("is left: somebody goes on putting things there", "reste : quelqu'un continue d'y mettre des choses")
	if unfit != nil {
		c.What = unfit.Path
		why = hint.T("is left: it %s", "reste : %s", reason(unfit.Why))
	}
	if !slices.ContainsFunc(m.left, func(l step.Change) bool { return l.What == c.What }) {
		m.left = append(m.left, step.Change{Op: step.Edited, Kind: c.Kind, What: c.What, Why: why})
	}
}

// checkVersion refuses to go back to an older release than is installed: its data
// may already be of a form the older one does not know.
func (m *machine) checkVersion() error {
	now, err := update.Current(m.optDir())
	if err != nil || !update.Released(now) || !update.Released(m.cfg.Version) || !older(m.cfg.Version, now) {
		return nil //nolint:nilerr // nothing is installed, or it cannot be compared
	}
	return hint.New("version-older",
		hint.T("Version %s is installed here, and this is the older version %s.", "La version %s est installée ici, et celle-ci est l'ancienne version %s.", now, m.cfg.Version), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Download the newest version.", "Téléchargez la version la plus récente."))
}

// older compares two releases number by number; what is no number is not older.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		var x, y int
		if _, err := fmt.Sscanf(as[i]+" "+bs[i], "%d %d", &x, &y); err != nil || x > y {
			return false
		}
		if x < y {
			return true
		}
	}
	return len(as) < len(bs)
}

// openPorts are those that the firewall had better let people in by, if it was us who
// opened it: those of the web stay open for a proxy on this machine, which answers there.
func openPorts(s *config.Settings) []int {
	if behindOurOwn(s) {
		return []int{80, 443}
	}
	return site.Of(s).PublicPorts()
}

func (m *machine) checkPorts(ctx context.Context) error {
	for _, port := range site.Of(m.settings).Ports() {
		o, taken, err := m.cfg.Facts.PortOwner(port)
		if err != nil {
			return err
		}
		if taken && !m.service.Listens(ctx, port) && !strings.HasPrefix(o.Exe, m.optDir()+"/") {
			return host.TakenBy(port, o)
		}
	}
	return nil
}

// notes are what a person should know of and Foyer does not change.
func (m *machine) notes(ctx context.Context) []hint.Text {
	var out []hint.Text
	if !site.Of(m.settings).BehindProxy() && m.cfg.Answers.Firewall == FirewallAuto && host.Firewall(ctx, m.cfg.Runner) == host.Nftables {
		out = append(out, hint.T("This machine has firewall rules of its own (nftables) that may keep visitors out: let them in on ports %d and %d.",
			"Cette machine a ses propres règles de pare-feu (nftables) qui peuvent bloquer les visiteurs : ouvrez-leur les ports %d et %d.", m.settings.HTTPPort, m.settings.HTTPSPort))
	}
	if m.cfg.Answers.Where == WhereReachable && !site.Of(m.settings).BehindProxy() {
		if wrong := unfindable(strings.Join(m.settings.Addresses, " "), true); !wrong.IsZero() {
			out = append(out, wrong)
		}
	}
	if hazard, err := m.hazard(); err == nil && hazard.Folder != "" {
		out = append(out, hint.T("Whoever can write to %s can take the data away, or put other data in their place; Foyer itself touches nothing else there.",
			"Quiconque peut écrire dans %s peut retirer les données, ou en mettre d'autres à leur place ; Foyer lui-même n'y touche à rien d'autre.", hazard.Folder))
	}
	if note := (&osUpdatesStep{m: m}).note(ctx); !note.IsZero() {
		out = append(out, note)
	}
	if m.cfg.Facts.SELinux() {
		out = append(out, hint.T("SELinux is enforced on this machine: should the service not start, `sudo restorecon -R /opt/foyer` is the first thing to try.",
			"SELinux est actif sur cette machine : si le service ne démarre pas, essayez d'abord `sudo restorecon -R /opt/foyer`."))
	}
	if wanted, err := m.cfg.Answers.Settings(); err == nil {
		for _, k := range config.Keys {
			is, _ := m.settings.Get(k.Name)
			want, _ := wanted.Get(k.Name)
			if source := m.cfg.Answers.given[k.Name]; source != "" && is != want {
				out = append(out, hint.T("%s stays %q, as %s says; change it there.", "%s reste %q, comme le dit %s ; changez-le là.", k.Name, is, config.SystemFile))
			}
		}
	}
	return out
}
