package supervisor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Somebody changes their mind about what they answered when they installed (report.Change).
// The job of it asks root's end (package helper) to change the settings, on trial, and follows
// that, whoever starts the service anew meanwhile. It asks root to go back when somebody wants
// that, or when the server does not answer any more. It goes back without this process, too:
// whether one is confirmed is decided here, whether an unconfirmed one stays is not.
//
// Threat model: the link that confirms a change goes through messengers, whose previews fetch
// it, and whoever reads it has the code. The code alone proves nothing but that: it counts
// when it came by an address that the change is about. New answers may be secrets: they are in
// the memory of the job until it has ended, and in root's request.

// Changes is how the wizard's questions are answered anew: what other answers would mean.
// None of it takes root, or changes anything. Values are new answers by the key of their
// question. Errors are for people, and repeat no secret.
type Changes interface {
	// Settle are the values with what follows from this machine and nobody has said, which
	// root cannot find out. The error is of values that are no answers.
	Settle(ctx context.Context, values map[string]string) (map[string]string, error)
	Questions(ctx context.Context, values map[string]string) ([]report.Question, error)
	Plan(ctx context.Context, values map[string]string) (report.ChangePlan, error)
	// Outlook is what will keep visitors out then, as far as it can be seen beforehand, each a
	// sentence. It takes five seconds at most.
	Outlook(ctx context.Context, values map[string]string) []hint.Text
}

// How long a change is given, and its code guessed at.
const (
	answersWithin = 90 * time.Second // the server, with the new settings
	keepWithin    = 10 * time.Second // root's end, to keep it; who asked waits
	toldWithin    = 3 * time.Second  // the job, to see that it was kept
	wrongCodes    = 10               // within wrongWithin; then only the right one is answered as itself
	wrongWithin   = time.Minute
	codeLetters   = 20 // of 5 bits
)

// changes implements control.Changes.
type changes struct {
	s *Supervisor

	beginning sync.Mutex  // one begins at a time
	keeping   sync.Mutex  // one confirms at a time
	wrong     []time.Time // wrong codes, guarded by keeping

	mu   sync.Mutex               // guards what follows
	back map[string]chan struct{} // by the number of a job that runs: closed when somebody wants it to go back
}

func newChanges(s *Supervisor) *changes {
	return &changes{s: s, back: map[string]chan struct{}{}}
}

// Changes implements control.Appliance.
func (s *Supervisor) Changes() control.Changes { return s.changes }

// can is why the settings cannot be changed here, or not with these values; nil: perhaps they
// can.
func (c *changes) can(values map[string]string) error {
	if c.s.cfg.Changes == nil || !c.s.cfg.Root.There() {
		return helper.ErrMissing
	}
	if len(values) == 0 {
		return nil
	}
	v, _ := helper.Find(helper.VerbChangeSettings)
	return v.CheckValues(values)
}

// Questions implements control.Changes.
func (c *changes) Questions(ctx context.Context, values map[string]string) ([]report.Question, error) {
	if err := c.can(values); err != nil {
		return nil, err
	}
	return c.s.cfg.Changes.Questions(ctx, values)
}

// Plan implements control.Changes.
func (c *changes) Plan(ctx context.Context, values map[string]string) (report.ChangePlan, error) {
	settled, plan, err := c.plan(ctx, values)
	if err == nil && len(plan.Differs) > 0 {
		plan.Notes = append(plan.Notes, c.s.cfg.Changes.Outlook(ctx, settled)...)
	}
	return plan, err
}

// plan is what values come to, and those with what nobody has said.
func (c *changes) plan(ctx context.Context, values map[string]string) (settled map[string]string, plan report.ChangePlan, err error) {
	if err = c.can(values); err != nil {
		return nil, plan, err
	}
	if settled, err = c.s.cfg.Changes.Settle(ctx, values); err != nil {
		return nil, plan, err
	}
	plan, err = c.s.cfg.Changes.Plan(ctx, settled)
	return settled, plan, err
}

// Begin implements control.Changes.
func (c *changes) Begin(ctx context.Context, values map[string]string, by control.Asker) (r job.Record, code string, err error) {
	if by.Page {
		k, ok := c.s.jobs.Kind(report.KindChange)
		if err := byPage(k, ok, by); err != nil {
			return job.Record{}, "", err
		}
	}
	c.beginning.Lock()
	defer c.beginning.Unlock()
	if _, ok := c.s.jobs.ActiveOf(report.KindChange); ok {
		return job.Record{}, "", helper.ErrUnderWay
	}
	values, plan, err := c.plan(ctx, values) // whoever asks has read the outlook
	if err != nil {
		return job.Record{}, "", err
	}
	if len(plan.Differs) == 0 {
		return job.Record{}, "", hint.New("change-nothing", hint.T("With these answers everything stays as it is.", "Avec ces réponses, tout reste comme c'est."), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.Text{})
	}
	code = newCode()
	change := report.Change{State: report.ChangeApplying, Plan: plan, Code: hashOf(code)}
	if r, err = c.s.jobs.StartWith(report.KindChange, nil, by.Name, change, values); err != nil {
		return job.Record{}, "", err
	}
	what := plan.Differs[0].Title
	for _, d := range plan.Differs[1:] {
		what = hint.T("%s, %s", "%s, %s", what, d.Title)
	}
	c.s.events.Add(event.Event{Code: "change-asked", Subject: r.Kind, What: hint.T("%s changes the settings: %s.", "%s modifie les réglages : %s.", r.By, what)})
	return r, code, nil
}

// newCode is a code that confirms a change: 100 bits, in groups that can be read out.
func newCode() string {
	var groups []string
	for letters := range slices.Chunk([]byte(rand.Text()[:codeLetters]), 4) {
		groups = append(groups, string(letters))
	}
	return strings.Join(groups, "-")
}

// hashOf is what is kept of a code, however somebody typed it: it has no digits that look
// like letters.
func hashOf(code string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == '0':
			return 'O'
		case r == '1':
			return 'I'
		case r == '8':
			return 'B'
		case r >= 'A' && r <= 'Z', r >= '2' && r <= '7':
			return r
		}
		return -1
	}, strings.ToUpper(code))
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}

// changeOf is the result of a job that changes settings.
func changeOf(result json.RawMessage) (ch report.Change) {
	if json.Unmarshal(result, &ch) != nil {
		return report.Change{}
	}
	return ch
}

// Keep implements control.Changes.
func (c *changes) Keep(ctx context.Context, code, at string) (job.Record, error) {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	r, ok := c.s.jobs.ActiveOf(report.KindChange)
	ch := changeOf(r.Result)
	switch {
	case ok && ch.State == report.ChangeApplying:
		return job.Record{}, hint.New("change-none", hint.T("The change is not in force yet.", "La modification n'est pas encore en vigueur."), hint.Text{}, hint.T("Try again in a moment.", "Réessayez dans un instant."))
	case !ok || ch.State != report.ChangeWaiting:
		return job.Record{}, helper.ErrNoTrial
	}
	if err := c.proven(ch, code, at); err != nil {
		return job.Record{}, err
	}
	within, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	err := c.endTrial(within, r.ID, helper.DoKeep, helper.WhyAsked)
	within, cancel = context.WithTimeout(ctx, toldWithin)
	defer cancel()
	c.s.jobs.Follow(within, r.ID, func(now job.Record) error { r = now; return nil }) //nolint:errcheck // where the job is late to tell, this is how it was
	switch {
	case err == nil || changeOf(r.Result).State == report.ChangeKept: // root may have died between doing it and saying so
		return r, nil
	case errors.Is(err, context.DeadlineExceeded):
		return job.Record{}, hint.New("helper-silent", hint.T("The part of Foyer that has the administrator's rights does not answer yet.", "La partie de Foyer qui a les droits d'administrateur ne répond pas encore."),
			hint.T("The change is not confirmed.", "La modification n'est pas confirmée."), hint.T("Try again in a moment.", "Réessayez dans un instant.")).Because(err)
	}
	return job.Record{}, err
}

// proven says why a code and an address do not confirm a change; what is empty was not asked
// for. A wrong code learns nothing of the addresses.
func (c *changes) proven(ch report.Change, code, at string) error {
	if code != "" && subtle.ConstantTimeCompare([]byte(hashOf(code)), []byte(ch.Code)) != 1 {
		// Of 100 bits nobody guesses one; who does try wakes up nobody else. The right code is
		// never paused: strangers could have every change go back.
		c.wrong = slices.DeleteFunc(c.wrong, func(then time.Time) bool { return time.Since(then).Abs() > wrongWithin })
		if len(c.wrong) >= wrongCodes {
			return hint.New("code-paused", hint.T("Wrong codes were tried too often.", "Trop de codes erronés ont été essayés."), hint.T("The change is not confirmed.", "La modification n'est pas confirmée."),
				hint.T("Use the link you were given when you asked for the change; it works all the same.", "Utilisez le lien reçu en demandant la modification ; il marche quand même."))
		}
		c.wrong = append(c.wrong, time.Now())
		return hint.New("code-wrong", hint.T("This is not the code of the change under way.", "Ce n'est pas le code de la modification en cours."), hint.T("The change is not confirmed.", "La modification n'est pas confirmée."),
			hint.T("Use the link you were given when you asked for the change.", "Utilisez le lien reçu en demandant la modification."))
	}
	if at == "" || slices.ContainsFunc(ch.Plan.Through, func(through string) bool { return sameOrigin(through, at) }) {
		return nil
	}
	open := hint.T("Confirm it on the machine itself: `sudo foyer change --keep`.", "Confirmez-la sur la machine même : `sudo foyer change --keep`.")
	if len(ch.Plan.Through) > 0 {
		open = hint.T("Open %s and confirm it there.", "Ouvrez %s et confirmez-la là.", ch.Plan.Through[0])
	}
	return hint.New("change-elsewhere", hint.T("This arrived by an address that does not show that the change works.", "Ceci est arrivé par une adresse qui ne montre pas que la modification fonctionne."),
		hint.T("The change is not confirmed.", "La modification n'est pas confirmée."), open)
}

// sameOrigin reports whether two URLs are of one origin (RFC 6454): scheme, host, port.
func sameOrigin(a, b string) bool {
	origin := func(text string) string {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			return ""
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		return u.Scheme + " " + strings.ToLower(u.Hostname()) + " " + port
	}
	return origin(a) != "" && origin(a) == origin(b)
}

// endTrial has root keep what is on trial, or take it back.
func (c *changes) endTrial(ctx context.Context, id, do, why string) error {
	v, _ := helper.Find(helper.VerbEndTrial)
	r, err := c.s.cfg.Root.Do(ctx, v, job.NewID(time.Now()), map[string]string{helper.ArgTrial: id, helper.ArgDo: do, helper.ArgWhy: why}, false, func(job.Record) {})
	if err == nil && r.State != job.Done {
		err = endedOtherwise(hint.Clean(r))
	}
	return err
}

// cancel has a change go back that runs; false: it does not.
func (c *changes) cancel(r job.Record) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted, ok := c.back[r.ID]
	if !ok || r.Kind != report.KindChange {
		return false
	}
	select {
	case <-wanted:
	default:
		close(wanted)
	}
	return true
}

// run is the job: it has root change the settings, and follows that to its end.
func (c *changes) run(ctx context.Context, t *job.Task) error {
	wanted := make(chan struct{})
	c.mu.Lock()
	c.back[t.ID()] = wanted
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.back, t.ID())
	}()

	follow, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	inForce := sync.OnceFunc(func() {
		beside.Go(func() {
			if c.answersStill(follow, t) {
				return
			}
			c.bringBack(follow, t, helper.WhySilent)
		})
	})
	beside.Go(func() {
		select {
		case <-wanted:
			c.bringBack(follow, t, helper.WhyAsked)
		case <-follow.Done():
		}
	})
	if t.Again() { // applying it started the service anew, most likely
		inForce()
	}

	values, _ := t.With().(map[string]string)
	first := changeOf(t.SoFar())
	ch := first
	tell := telling(t)
	v, _ := helper.Find(helper.VerbChangeSettings)
	r, err := c.s.cfg.Root.DoWith(follow, v, t.ID(), nil, values, t.Again() || values == nil, func(r job.Record) {
		r = hint.Clean(r)
		tell(r)
		ch = merged(first, changeOf(r.Result))
		c.say(t, ch)
		if ch.State == report.ChangeWaiting {
			inForce()
		}
	})
	if err == nil && r.State != job.Done {
		err = endedOtherwise(hint.Clean(r))
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	if ch.State != report.ChangeBack { // it was not begun, or nobody tells of it any more
		if ch.State == report.ChangeApplying {
			ch.State = report.ChangeBack
		}
		ch.Until, ch.Reason = time.Time{}, report.ProblemOf(err).What
		c.say(t, ch)
	}
	return err
}

// say has the job's record say how the change stands.
func (c *changes) say(t *job.Task, ch report.Change) {
	if err := t.Result(ch); err != nil {
		c.s.cfg.Log.Warn("a job does not say how its change stands", "job", t.ID(), "err", err)
	}
}

// merged is a change as root tells of it: root does not know the code, and not the plan until
// it has made one.
func merged(first, told report.Change) report.Change {
	told.Code = first.Code
	if len(told.Plan.Addresses) == 0 {
		told.Plan = first.Plan
	}
	if told.State == "" {
		told.State = report.ChangeApplying
	}
	return told
}

// bringBack has root take a change back: root may not have begun it yet.
func (c *changes) bringBack(ctx context.Context, t *job.Task, why string) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := c.endTrial(ctx, t.ID(), helper.DoBack, why)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			c.s.cfg.Log.Warn("a change does not go back yet", "job", t.ID(), "err", err)
		}
		if !pause.For(ctx, wait) {
			return
		}
	}
}

// answersStill reports whether the server answers soon, with the settings as they are now.
func (c *changes) answersStill(ctx context.Context, t *job.Task) bool {
	s := c.s
	if !(worker{s}).awaitServer(ctx, s.cfg.Timing.Changed) {
		return true // nobody wants to know any more
	}
	if !isHealthy(s) {
		t.Say(hint.T("The server does not answer with the new settings; the old ones come back.", "Le serveur ne répond pas avec les nouveaux réglages ; les anciens reviennent."))
		return false
	}
	if answers := hint.T("The server answers.", "Le serveur répond."); !slices.Contains(t.Said(), answers) {
		t.Say(answers)
	}
	return true
}

// check finds a change that waits: without somebody it goes back.
func (c *changes) check() health.Check {
	return health.Check{
		Code: "change", Title: hint.T("Change of settings", "Modification des réglages"), VisibleAfter: 15 * time.Minute, // events of its own tell of it
		Run: func(context.Context) health.Finding {
			r, ok := c.s.jobs.ActiveOf(report.KindChange)
			ch := changeOf(r.Result)
			switch {
			case !ok:
				return health.Finding{} // nothing to tell of
			case ch.State == report.ChangeWaiting:
				return health.Finding{
					Severity: health.Warning, What: hint.T("A change of the settings waits to be confirmed until %s.", "Une modification des réglages attend d'être confirmée jusqu'à %s.", ch.Until.Local().Format("15:04:05")),
					Did: hint.T("Without that Foyer takes it back.", "Sinon Foyer l'annule."), Do: hint.T("Open the link you were given, or on the machine itself: `sudo foyer change --keep`.", "Ouvrez le lien reçu, ou sur la machine même : `sudo foyer change --keep`."),
				}
			case ch.State == report.ChangeGoingBack:
				return health.Finding{Severity: health.Warning, What: hint.T("A change of the settings is being taken back.", "Une modification des réglages est en train d'être annulée."), Did: hint.T("Foyer tries until it has worked.", "Foyer essaie jusqu'à ce que cela marche.")}
			}
			return health.Finding{Severity: health.Info, What: hint.T("The settings are being changed.", "Les réglages sont en train d'être modifiés.")}
		},
	}
}

// changeEvent is how a change came out; ok: it is an end that has words of its own.
func changeEvent(r job.Record) (e event.Event, ok bool) {
	switch ch := changeOf(r.Result); {
	case r.Kind != report.KindChange:
		return e, false
	case r.State == job.Done:
		return event.Event{Code: "change-kept", Subject: r.Kind, What: hint.T("The change of the settings was confirmed.", "La modification des réglages a été confirmée."), Did: hint.T("It stays.", "Elle reste.")}, true
	case r.Error != nil && r.Error.Code == "change-back":
		return event.Event{
			Code: "change-back", Severity: health.Warning, Subject: r.Kind, What: hint.T("The change of the settings was taken back. %s", "La modification des réglages a été annulée. %s", ch.Reason),
			Did: r.Error.Did, Do: r.Error.Do,
		}, true
	}
	return e, false
}
