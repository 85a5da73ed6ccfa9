//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// kit plants the words of a new kit, in all its languages, and all that they stand for.
func (p *planting) kit(door string) (words string) {
	p.m.t.Helper()
	words = newKit(p.m.t)
	k, err := kit.Read(words)
	if err != nil {
		p.m.t.Fatal(err)
	}
	p.all = append(p.all, planted{door: door})
	x := &p.all[len(p.all)-1]
	const some = 4 // so many of them, one after the other, are enough to know them by
	for _, lang := range []hint.Lang{hint.EN, hint.FR, kit.ES} {
		all := k.Words(lang)
		for at := range len(all) - some + 1 {
			for _, between := range []string{" ", "", ", ", `","`, `", "`} {
				x.texts = append(x.texts, strings.Join(all[at:at+some], between))
			}
		}
	}
	entropy := entropyOf(k.Words(hint.EN))
	p.plant(door+", the bytes they say", string(entropy))
	for _, of := range []string{"foyer/kit/1/age-x25519", "foyer/kit/1/ed25519"} { // docs/backups.md#keys
		key, err := hkdf.Key(sha256.New, entropy, nil, of, 32)
		if err != nil {
			p.m.t.Fatal(err)
		}
		p.plant(door+", the key "+of, string(key))
	}
	p.plant(door+", as an identity of age", k.Identity().Secret())
	return words
}

// kitWords are the list of words of kits. Their package keeps it to itself, so that it is found out from
// words of kits: it is in the order of the alphabet, as BIP 39 has it.
var kitWords = sync.OnceValue(func() []string {
	known := map[string]bool{}
	for len(known) < 2048 {
		k, err := kit.New()
		if err != nil {
			panic(err)
		}
		for _, w := range k.Words(hint.EN) {
			known[w] = true
		}
	}
	return slices.Sorted(maps.Keys(known))
})

// entropyOf are the bytes that words of a kit say.
func entropyOf(text []string) []byte {
	bits := new(big.Int)
	for _, w := range text {
		at, _ := slices.BinarySearch(kitWords(), w)
		bits.Or(bits.Lsh(bits, 11), big.NewInt(int64(at)))
	}
	check := new(big.Int).And(bits, big.NewInt(15)).Int64()
	entropy := bits.Rsh(bits, 4).FillBytes(make([]byte, 16))
	if sum := sha256.Sum256(entropy); int64(sum[0]>>4) != check {
		panic("these are not the bytes of the words")
	}
	return entropy
}

// made plants what Foyer itself has made that is secret: the keys of the backups, those of the
// certificates, and hashes of passwords.
func (p *planting) made() {
	p.m.t.Helper()
	for _, path := range strings.Fields(p.m.must("find", "/var/lib/foyer-supervisor/backup", "-name", "*.key")) {
		var key struct {
			Identity string
			Signer   []byte
		}
		text, err := os.ReadFile(p.m.at(path))
		p.m.ok(err, json.Unmarshal(text, &key))
		switch base := filepath.Base(path); {
		case base == "chain.key" && key.Identity != "":
			p.all = append(p.all, planted{"the identity in " + base, []string{key.Identity, string(bytesOf(p.m.t, key.Identity))}, []string{"keys"}})
		case base == "machine.key" && key.Signer != nil:
			p.plant("the key that signs in "+base, string(key.Signer), "keys")
		default:
			p.m.t.Errorf("%s has no key that is known", path)
		}
	}
	keys := 0
	p.m.ok(filepath.WalkDir(p.m.at("/var/lib/foyer/certificates"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		block, _ := pem.Decode(text)
		if err != nil || block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return err
		}
		keys++
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			key, err = x509.ParseECPrivateKey(block.Bytes)
		}
		if err != nil {
			return err
		}
		raw, err := key.(*ecdsa.PrivateKey).Bytes()
		p.all = append(p.all, planted{"the key of a certificate", []string{string(raw), base64.StdEncoding.EncodeToString(block.Bytes)}, []string{"data"}})
		return err
	}))
	if keys == 0 {
		p.m.t.Error("no certificate has a key")
	}
	data, err := os.ReadFile(p.m.at("/var/back/data.db"))
	p.m.ok(err)
	hashes := regexp.MustCompile(`\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}`).FindAllString(string(data), -1)
	slices.Sort(hashes)
	for _, hash := range slices.Compact(hashes) {
		p.plant("the hash of a password", hash, "data", "restored")
	}
	if len(hashes) < 10 {
		p.m.t.Errorf("%d passwords have a hash", len(hashes))
	}
}

// bytesOf are those that an identity of age says, in Bech32.
func bytesOf(t *testing.T, identity string) []byte {
	t.Helper()
	_, digits, _ := strings.Cut(strings.ToLower(identity), "1")
	bits := new(big.Int)
	for _, d := range digits[:len(digits)-6] { // a checksum
		bits.Or(bits.Lsh(bits, 5), big.NewInt(int64(strings.IndexRune("qpzry9x8gf2tvdw0s3jn54khce6mua7l", d))))
	}
	return bits.Rsh(bits, uint((len(digits)-6)*5%8)).FillBytes(make([]byte, 32))
}
