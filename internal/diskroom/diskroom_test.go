package diskroom

import "testing"

// The steps come in order on disks of every size, and leave most of a small disk for use.
func TestLevels(t *testing.T) {
	t.Attr("shows", "health")
	const mb, gb = 1 << 20, 1 << 30
	for _, c := range []struct {
		total            uint64
		low, short, full uint64
	}{
		{256 * mb, 64 * mb, 64 * mb, 24 * mb},
		{1 * gb, 256 * mb, 128 * mb, 64 * mb},
		{8 * gb, 512 * mb, 128 * mb, 64 * mb},
		{100 * gb, 2 * gb, 128 * mb, 64 * mb},
		{4000 * gb, 5 * gb, 128 * mb, 64 * mb},
	} {
		if low, short, full := Begins(Low, c.total), Begins(Short, c.total), Begins(Full, c.total); low != c.low || short != c.short || full != c.full {
			t.Errorf("%d MB: they begin at %d, %d, %d MB", c.total/mb, low/mb, short/mb, full/mb)
		}
		for free, want := range map[uint64]Level{c.total: Plenty, c.low: Plenty, c.short: Low, c.short - 1: Short, c.full: Short, c.full - 1: Full, 0: Full} {
			if free == c.short && c.low == c.short {
				want = Plenty
			}
			if got := (Room{Free: free, Total: c.total}).Level(); got != want {
				t.Errorf("%d of %d MB free: level %d, want %d", free/mb, c.total/mb, got, want)
			}
		}
	}
}

// Files run out, too, and then what is kept in many of them is refused, not what is kept in few.
func TestFilesRunOut(t *testing.T) {
	t.Attr("shows", "health")
	for _, c := range []struct {
		free, most uint64
		want       Level
	}{{0, 0, Plenty}, {50_000, 1_000_000, Plenty}, {19_999, 1_000_000, Low}, {1_999, 1_000_000, Short}, {0, 1_000_000, Short}, {600, 6_000, Plenty}, {599, 6_000, Low}, {59, 6_000, Short}} {
		r := Room{Free: 1 << 40, Total: 1 << 41, FreeFiles: c.free, Most: c.most}
		if got := r.Level(); got != c.want || r.FewFiles() != (got > Plenty) {
			t.Errorf("%d of %d files: level %d, want %d", c.free, c.most, got, c.want)
		}
	}
	if (Room{Free: 1, Total: 1 << 41, FreeFiles: 0, Most: 1_000_000}).FewFiles() {
		t.Error("there are no bytes, and it is said that files are few")
	}
	r, err := Look(t.TempDir())
	if err != nil || r.Free == 0 || r.Free > r.Total || r.FreeFiles > r.Most {
		t.Errorf("%+v, %v", r, err)
	}
}
