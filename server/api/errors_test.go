package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/server/refusal"
)

// Whoever meets a fault of the program is told where to go with it.
func TestFaultsSayWhereToTell(t *testing.T) {
	t.Attr("shows", "mend3")
	w := httptest.NewRecorder()
	c := &call{api: newServer(t, nil).(*api), w: w, r: httptest.NewRequest("GET", "/v1/", nil)}
	c.fail(refusal.Bug)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if info, _ := body["info"].(string); w.Code != 500 || !strings.HasPrefix(info, "https://") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
