package diskroom

// files: nothing bounds them on NTFS.
func files(string) (free, most uint64) { return 0, 0 }
