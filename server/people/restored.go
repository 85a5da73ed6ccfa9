package people

import "github.com/foyer-server/foyer/server/kinto"

// What a backup brings back of people is their accounts, and what they prove themselves by:
// passwords and passkeys. What was only lent does not come back: a session that somebody
// ended since, or that was stolen with the machine, an invitation that was used since, a
// code that was shown once. Notes come back: they count wrong passwords and remember what was
// answered, give nothing, and end by themselves.
//
// afterRestore is every fact that is kept in the store's meta beside what is kept of a
// person, and whether it ends. A new one has to be put here: a test looks for it.
var afterRestore = []struct {
	name string // of the fact, or what its name begins with
	ends bool
}{
	{metaSecret, false}, // another one would make everybody somebody else
	{metaOwner, false},
	{metaOwners, false},
	{metaOffer, true},
	{metaGuesses, true}, // of that offer
	{metaTaken, false},  // so that no offer is taken twice
	{metaInvites, true}, // reset links, too
	{metaLately, false}, // what happened, happened
	{metaHandle, false}, // of passkeys
	{metaFolded, false},
	{kinto.MetaPerson, false}, // but for what Restored takes out
	{kinto.MetaReserved, false},
	{kinto.MetaLost, false}, // devices still come with what earlier restores took away
}

// Restored ends what is not to come back with data from a backup, before anybody is served of
// them: sessions, invitations, reset links and claim offers; the passwords of apps, too,
// unless apps says that they are wanted. Done twice it is the same.
func Restored(tx kinto.Tx, apps bool) error {
	for _, fact := range afterRestore {
		if !fact.ends {
			continue
		}
		if err := tx.SetMeta(fact.name, nil); err != nil {
			return err
		}
	}
	lists, err := tx.Lists(kinto.Account)
	if err != nil {
		return err
	}
	for _, l := range lists {
		p, _, err := find(tx, l.Parent)
		if err != nil {
			return err
		}
		if p == nil || len(p.Sessions) == 0 && (apps || len(p.Apps) == 0) {
			continue
		}
		p.Sessions = nil
		if !apps {
			p.Apps = nil
		}
		if err := keep(tx, l.Parent, p); err != nil {
			return err
		}
	}
	return nil
}
