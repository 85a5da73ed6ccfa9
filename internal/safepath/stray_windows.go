package safepath

// Strays tells of none: folders have no such owners here.
func Strays(*Dir, int, func(name string) bool, int) ([]Stray, error) { return nil, nil }

// GiveBack has nothing to give.
func GiveBack(*Dir, int, int, func(name string) bool) error { return nil }
