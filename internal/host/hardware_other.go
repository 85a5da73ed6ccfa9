//go:build !linux

package host

func mountsOver(string, string) []string { return nil }

func storageOf(string, string) Storage { return Storage{} }

func powerSupply(string) (Power, bool) { return Power{}, false }

func clockSet() bool { return true }

func hasClock(string) bool { return true }

func model(string) string { return "" }
