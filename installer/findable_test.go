package installer

import (
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// Names and addresses that lead nobody here are told: on the screens when they are typed,
// and in the plan, whoever gave them.
func TestWhoCannotBeFoundIsTold(t *testing.T) {
	t.Attr("shows", "ground2")
	qs := Questions()
	typed := qs[slices.IndexFunc(qs, func(q Question) bool { return q.Key == "addresses" })]
	for _, c := range []struct {
		where, proxy, text string
		typed, planned     string // what is said; "" nothing
	}{
		{WhereReachable, "", "cloud.jeannine-martin.fr", "", ""},
		{WhereReachable, "", "nas.lan cloud.jeannine-martin.fr", "", ""},
		{WhereReachable, "", "81.2.69.142", "", ""},
		{WhereReachable, "", "nas.lan", "Nobody outside finds this server by nas.lan", "Nobody outside"},
		{WhereReachable, "", "nas.fritz.box, 192.168.1.2", "Nobody outside finds this server by nas.fritz.box", "Nobody outside"},
		{WhereReachable, "", "100.64.1.2", "Nobody outside finds this server by 100.64.1.2", "Nobody outside"},
		{WhereReachable, "", "cloud.example.org", "Nobody can have the name cloud.example.org", "Nobody can have"},
		{WhereReachable, "", "203.0.113.9", "No machine can be found at the address 203.0.113.9", "No machine"},
		{WhereServer, "", "nas.lan", "", ""}, // a community may be one network
		{WhereServer, "", "cloud.test", "Nobody can have the name cloud.test", ""},
		{WhereHome, "127.0.0.1:8888", "nas.lan", "", ""}, // a proxy at home
		{WhereReachable, "127.0.0.1:8888", "nas.lan", "", ""},
		{WhereHome, "127.0.0.1:8888", "https://nas.lan/", "Only the name", ""},
	} {
		v := Values{"where": c.where, "http_port": "8080", "https_port": "8443"}
		if c.proxy != "" {
			v["proxy.listen"] = c.proxy
		}
		wrong := typed.Check(v, c.text)
		if (c.typed == "") != wrong.IsZero() || !strings.HasPrefix(wrong.EN, c.typed) || !wrong.IsZero() && wrong.EN == wrong.FR {
			t.Errorf("%+v: typed: %q", c, wrong)
		}
		if v["addresses"] = c.text; strings.Contains(c.text, "/") {
			continue // none that the settings take
		}
		a, err := LoadAnswers("", nil, nil, v)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		p, err := newFakeOS(t).installer(func(cfg *Config) { cfg.Answers = a }).Plan(t.Context())
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		told := slices.ContainsFunc(p.Notes, func(n hint.Text) bool {
			return strings.HasPrefix(n.EN, "Nobody ") || strings.HasPrefix(n.EN, "No machine ")
		})
		if told != (c.planned != "") || told && !slices.ContainsFunc(p.Notes, func(n hint.Text) bool { return strings.HasPrefix(n.EN, c.planned) }) {
			t.Errorf("%+v: in the plan: %q", c, p.Notes)
		}
	}
}
