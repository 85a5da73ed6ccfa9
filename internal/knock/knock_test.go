package knock

import (
	"strings"
	"testing"
)

func TestNonces(t *testing.T) {
	a, b := NewNonce(), NewNonce()
	if a == b || !Nonce(a) || !Nonce(b) {
		t.Errorf("%q, %q", a, b)
	}
	for _, bad := range []string{"", a[:31], a + "0", strings.ToUpper(a[:31]) + "A", "../" + a[3:], strings.Repeat("g", 32)} {
		if Nonce(bad) {
			t.Errorf("%q is no nonce", bad)
		}
	}
	if Answer(a) == Answer(b) || strings.Contains(Answer(a), a) {
		t.Errorf("answers %q, %q", Answer(a), Answer(b))
	}
}
