package faultfs

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// said is a test that notes how it was ended.
type said struct {
	testing.TB
	what string
}

func (s *said) Helper() {}

func (s *said) Skipf(format string, args ...any) {
	s.what = "skip: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (s *said) Fatalf(format string, args ...any) {
	s.what = "fail: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// Where something is missing a test is skipped, but never in CI.
func TestRequire(t *testing.T) {
	for _, tc := range []struct {
		ci, begins string
	}{
		{"", "skip: "},
		{"true", "fail: "},
	} {
		t.Run("CI="+tc.ci, func(t *testing.T) {
			t.Setenv("CI", tc.ci)
			s := &said{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				require(s, []string{"/dev/null"}, []string{"sh", "mkfs.missing"})
			}()
			<-done
			if !strings.HasPrefix(s.what, tc.begins) || !strings.HasSuffix(s.what, "mkfs.missing.") {
				t.Errorf("said %q", s.what)
			}
		})
	}
}
