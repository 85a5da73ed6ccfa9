package admission

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is visitors at a table, and whose places were taken away, in order.
type crowd struct {
	*Table
	t     *testing.T
	pause time.Duration // between two who come
	gone  []string
}

func newCrowd(t *testing.T, limit int) *crowd {
	return &crowd{Table: NewTable(limit), t: t, pause: time.Second}
}

// come is Enter, a while after whoever came before; what is told of a place that is
// taken away is called label.
func (c *crowd) come(from, label string, known bool) *Place {
	time.Sleep(c.pause)
	return c.Enter(from, known, func() { c.gone = append(c.gone, label) })
}

// must is come where there has to be a place.
func (c *crowd) must(from, label string) *Place {
	c.t.Helper()
	p := c.come(from, label, false)
	if p == nil {
		c.t.Fatalf("no place for %s of %s; gone %v", label, from, c.gone)
	}
	return p
}

// working is being answered.
func working(p *Place) *Place {
	p.Busy()
	p.Asked()
	return p
}

// answered has been answered, and asks for nothing.
func answered(p *Place, known bool) *Place {
	p.Busy()
	p.Asked()
	if known {
		p.Known()
	}
	p.Idle()
	return p
}

func (c *crowd) wantGone(want ...string) {
	c.t.Helper()
	if fmt.Sprint(c.gone) != fmt.Sprint(want) {
		c.t.Errorf("gone %v, want %v", c.gone, want)
	}
	c.gone = nil
}

// One address holds its share, however many come from it: those of it that have been idle
// for longest go for those that come, and nobody else.
func TestAnAddressHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 100)
		answered(c.must("anna", "anna"), false)
		for i := range 300 {
			c.must("flood", fmt.Sprint(i))
		}
		if c.Held() != 1+25 || len(c.gone) != 275 || c.gone[0] != "0" || c.gone[274] != "274" {
			t.Errorf("%d held, gone %v", c.Held(), c.gone)
		}
		// Where all of its share is at work, who comes is refused, and nothing is cut.
		c.gone = nil
		c = newCrowd(t, 100)
		for range 25 {
			working(c.must("flood", "busy"))
		}
		for range 25 {
			answered(c.must("bob", "bob"), false).Busy()
		}
		if p := c.come("bob", "one more", false); p != nil {
			t.Error("more than its share")
		}
		c.wantGone()
	})
}

// A table that is full makes room at the cost of whoever holds most: first of what does
// nothing there, then of what does nothing anywhere, and last of what is at work there.
func TestWhoHoldsMostMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 40) // a share is 16
		p := map[string]*Place{}
		enter := func(from, label string) *Place {
			p[label] = working(c.must(from, label))
			return p[label]
		}
		for i := range 10 {
			enter("anna", fmt.Sprint("anna", i))
		}
		for i := range 14 {
			enter("bob", fmt.Sprint("bob", i))
		}
		for i := range 16 {
			enter("flood", fmt.Sprint("flood", i))
		}
		p["anna4"].Idle()
		p["flood7"].Feed()
		p["flood9"].Idle()
		for i := range 5 {
			enter("new", fmt.Sprint("new", i))
		}
		// Then bob holds as many as the flood does, and goes by turns with it.
		c.wantGone("flood9", "flood7", "anna4", "flood0", "bob0")
		// Who holds most gains nothing by coming again.
		for range 5 {
			if c.come("bob", "bob again", false) != nil {
				t.Error("a place for who holds most")
			}
		}
		c.wantGone()
	})
}

// Where nobody holds more than another, who has been idle for longest goes; time counts
// more for who has asked for nothing, or is nobody's.
func TestTheIdleGoFirst(t *testing.T) {
	for _, c := range []struct {
		name               string
		fresh, idle, known time.Duration // since when they are what they are
		gone               string
	}{
		{"a handshake is given time", time.Second, 20 * time.Second, 20 * time.Second, "idle"},
		{"so that members go before it", time.Second, time.Second, 20 * time.Second, "known"},
		{"silence is not", 4 * time.Second, 10 * time.Second, 60 * time.Second, "fresh"},
		{"strangers go before members", 0, 20 * time.Second, 70 * time.Second, "idle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newCrowd(t, 4)
				begin := time.Now()
				at := func(age time.Duration, do func()) {
					time.Sleep(time.Until(begin.Add(2*time.Minute - age)))
					do()
				}
				idle, known := r.must("idle", "idle"), r.must("known", "known")
				working(r.must("busy", "busy"))
				working(known).Known()
				working(idle)
				for _, next := range sorted(map[time.Duration]func(){
					c.known: known.Idle, c.idle + 1: idle.Idle, c.fresh + 2: func() { r.Enter("fresh", false, func() { r.gone = append(r.gone, "fresh") }) },
				}) {
					at(next.age, next.do)
				}
				time.Sleep(time.Until(begin.Add(2 * time.Minute)))
				if r.Enter("new", false, func() {}) == nil {
					t.Error("no place")
				}
				r.wantGone(c.gone)
			})
		})
	}
}

type step struct {
	age time.Duration
	do  func()
}

// sorted are steps, the longest ago first.
func sorted(m map[time.Duration]func()) (out []step) {
	for age, do := range m {
		i := 0
		for i < len(out) && out[i].age > age {
			i++
		}
		out = append(out[:i], append([]step{{age, do}}, out[i:]...)...)
	}
	return out
}

// Strangers at work are cut off for who comes where nothing else is left; who has signed
// in is not, unless they hold more.
func TestMembersAreCutLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4)
		var members []*Place
		for i := range 3 {
			p := answered(c.must(fmt.Sprint("member", i), fmt.Sprint("member", i)), true)
			p.Busy()
			members = append(members, p)
		}
		stranger := answered(c.must("stranger", "stranger"), false)
		stranger.Busy()
		first := c.must("new", "new")
		c.wantGone("stranger")
		answered(first, true).Busy()
		if c.come("another", "another", false) != nil {
			t.Error("a member at work was cut off for a stranger")
		}
		c.wantGone()
		members[1].Idle()
		c.must("another", "another")
		c.wantGone("member1")
		// Members who hold more are, though they weigh less.
		c = newCrowd(t, 12)
		for i := range 12 {
			answered(c.must(fmt.Sprint("member", i/3), fmt.Sprint("member", i/3)), true).Busy()
		}
		c.must("another", "another")
		if len(c.gone) != 1 {
			t.Errorf("gone %v", c.gone)
		}
	})
}

// A family who have signed in behind one address weigh less than strangers who hold a few
// each.
func TestAFamilyBehindOneAddressStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 400)
		c.pause = 10 * time.Millisecond
		for range 40 {
			answered(c.must("family", "family"), true)
		}
		for i := range 2000 {
			c.must(fmt.Sprint("bot", i%500), "bot")
		}
		for _, name := range c.gone {
			if name != "bot" {
				t.Fatal("one of the family was closed")
			}
		}
		// Where all are at work, one more of the family gets the place of a stranger who
		// holds fewer.
		c = newCrowd(t, 40)
		for range 10 {
			working(c.come("family", "family", true))
		}
		for i := range 30 {
			working(c.must(fmt.Sprint("bot", i/2), "bot"))
		}
		if c.come("family", "family", true) == nil {
			t.Error("no place for one of the family")
		}
		c.wantGone("bot")
	})
}

// Many behind one address that cannot be told apart have no share, are believed nothing,
// and make room among themselves.
func TestWhoHasNoNameHasNoShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 40)
		for i := range 60 {
			answered(c.must("", fmt.Sprint(i)), true)
		}
		if c.Held() != 40 || c.count(idle) != 40 || len(c.gone) != 20 || c.gone[0] != "0" || c.gone[19] != "19" {
			t.Errorf("%d held, gone %v", c.Held(), c.gone)
		}
		c.gone = nil
		working(c.must("anna", "anna"))
		c.wantGone("20")
		// The PROXY protocol says whose one is: it counts for them from then on.
		c = newCrowd(t, 40)
		var last *Place
		for i := range 17 {
			last = working(c.must("", fmt.Sprint(i)))
			last.Come("bob")
		}
		c.wantGone("16")
		last.Idle() // nothing, any more
		last.Leave()
		if c.Held() != 16 {
			t.Errorf("%d held", c.Held())
		}
	})
}

// Whatever is done in whatever order, nobody holds more than there is, and when all have
// left nothing is left of them.
func TestTheTableForgets(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newCrowd(t, 1+r.IntN(60))
		live := map[*Place]bool{}
		var ends []func()
		for range 600 {
			name := ""
			if n := r.IntN(12); n > 0 {
				name = fmt.Sprint(n % (1 + r.IntN(12)))
			}
			var p *Place
			if p = c.Enter(name, r.IntN(3) == 0, func() {}); p != nil {
				live[p] = true
			}
			for q := range live {
				switch r.IntN(9) {
				case 0:
					q.Busy()
				case 1:
					q.Asked()
				case 2:
					q.Idle()
				case 3:
					q.Known()
				case 4:
					ends = append(ends, q.Feed())
				case 5:
					q.Come(fmt.Sprint(r.IntN(5)))
				case 6:
					q.Leave()
					delete(live, q)
				case 7:
					c.Shed()
				}
				break
			}
			if err := c.sound(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		for _, end := range ends {
			end()
		}
		for q := range live {
			q.Leave()
			q.Leave()
		}
		if c.Held() != 0 || len(c.origins) != 0 || len(c.most) != 0 || c.lines != NewTable(1).lines {
			t.Fatalf("seed %d: left %d, %d origins, %v", seed, c.Held(), len(c.origins), c.lines)
		}
	}
}

// sound is what is wrong with the books.
func (c *crowd) sound() error {
	all := 0
	for r := range c.lines {
		for p := c.lines[r].first; p != nil; p = p.links[ofAll].after {
			if all++; p.rank != rank(r) || p.worth() != p.rank || p.gone {
				return fmt.Errorf("a place of rank %d stands in line %d", p.worth(), r)
			}
		}
	}
	if all != c.held || c.held > c.limit {
		return fmt.Errorf("%d in line, %d held of %d", all, c.held, c.limit)
	}
	for name, o := range c.origins {
		places, weight := 0, 0
		for r := range o.lines {
			for p := o.lines[r].first; p != nil; p = p.links[ofVisitor].after {
				places++
				weight += p.weight()
			}
		}
		if places != o.places || weight != o.weight || places > c.share || weight > c.most[0].weight || c.most[o.at] != o {
			return fmt.Errorf("%s: %d places of %d, weight %d of %d", name, places, o.places, weight, o.weight)
		}
	}
	return nil
}

func TestShares(t *testing.T) {
	for limit, want := range map[int]int{1: 1, 2: 1, 8: 4, 32: 16, 64: 16, 135: 33, 4096: 1024} {
		if got := Share(limit); got != want {
			t.Errorf("of %d: %d, want %d", limit, got, want)
		}
	}
}
