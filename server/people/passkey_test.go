package people

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

var atHome = Place{Host: "foyer.local", Origin: "https://foyer.local", Server: "Foyer"}

// device makes and uses one passkey, as WebAuthn Level 3 §7 has it: in software.
type device struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte
	host   string // it believes to be at
	origin string
}

func newDevice(t *testing.T) *device {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, key: key, id: make([]byte, 16), host: atHome.Host, origin: atHome.Origin}
	rand.Read(d.id)
	return d
}

var b64 = base64.RawURLEncoding.EncodeToString

func (d *device) read(options []byte) (challenge string) {
	d.t.Helper()
	var o struct {
		PublicKey struct {
			Challenge string
			User      struct{ ID string }
		}
	}
	if err := json.Unmarshal(options, &o); err != nil {
		d.t.Fatal(err)
	}
	if o.PublicKey.User.ID != "" {
		var err error
		if d.handle, err = base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID); err != nil {
			d.t.Fatal(err)
		}
	}
	return o.PublicKey.Challenge
}

func (d *device) clientData(kind, challenge string) []byte {
	text, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": d.origin, "crossOrigin": false})
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

// data is the authenticator data: present and verified.
func (d *device) data(more byte, rest ...byte) []byte {
	hash := sha256.Sum256([]byte(d.host))
	return append(append(hash[:], 0x05|more, 0, 0, 0, 1), rest...)
}

func (d *device) send(response map[string]string) []byte {
	text, err := json.Marshal(map[string]any{"id": b64(d.id), "rawId": b64(d.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

// make answers an offer, with no attestation.
func (d *device) make(options []byte) []byte {
	client := d.clientData("webauthn.create", d.read(options))
	point, err := d.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		d.t.Fatal(err)
	}
	cose := slices.Concat([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33], []byte{0x22, 0x58, 32}, point[33:])
	auth := d.data(0x40, slices.Concat(make([]byte, 16), binary.BigEndian.AppendUint16(nil, uint16(len(d.id))), d.id, cose)...)
	object := slices.Concat([]byte{0xa3, 0x63}, []byte("fmt"), []byte{0x64}, []byte("none"), []byte{0x67}, []byte("attStmt"), []byte{0xa0, 0x68}, []byte("authData"), []byte{0x58, byte(len(auth))}, auth)
	return d.send(map[string]string{"clientDataJSON": b64(client), "attestationObject": b64(object)})
}

// use answers a question.
func (d *device) use(options []byte) []byte {
	client := d.clientData("webauthn.get", d.read(options))
	auth := d.data(0)
	inner := sha256.Sum256(client)
	sum := sha256.Sum256(append(slices.Clone(auth), inner[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, sum[:])
	if err != nil {
		d.t.Fatal(err)
	}
	return d.send(map[string]string{"clientDataJSON": b64(client), "authenticatorData": b64(auth), "signature": b64(signature), "userHandle": b64(d.handle)})
}

// offered has a device make a passkey for a name.
func (h *house) offered(d *device, name string) (*Passkey, error) {
	h.t.Helper()
	options, state, err := h.OfferPasskey(h.t.Context(), atHome, name, false)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.TakePasskey(h.t.Context(), atHome, state, d.make(options), "a phone")
}

func (h *house) signIn(d *device) (cookie string, err error) {
	h.t.Helper()
	options, state, err := h.AskPasskey(h.t.Context(), atHome)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.SignInByPasskey(h.t.Context(), atHome, state, d.use(options), "a phone", "")
}

func (h *house) who(cookie string) string {
	h.t.Helper()
	who, _, err := h.Session(h.t.Context(), cookie)
	if err != nil {
		h.t.Fatal(err)
	}
	if who == nil {
		return ""
	}
	return who.Name
}

func TestPasskeys(t *testing.T) {
	h := newHouse(t, nil)
	d := newDevice(t)
	key, err := h.offered(d, "jeannine")
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := h.Claim(t.Context(), h.offer(), "jeannine", Secret{Passkey: key}, here, "a phone")
	if err != nil || h.who(cookie) != "jeannine" {
		t.Fatalf("%v", err)
	}
	if acc, err := h.Account(t.Context(), "jeannine"); err != nil || acc.Password || len(acc.Passkeys) != 1 || !acc.Owner {
		t.Errorf("%+v %v", acc, err)
	}
	h.restart()
	if cookie, err = h.signIn(d); err != nil || h.who(cookie) != "jeannine" {
		t.Fatalf("%v", err)
	}
	acc, err := h.Account(t.Context(), "jeannine")
	if err != nil || acc.Passkeys[0].Used.IsZero() {
		t.Errorf("%+v %v", acc, err)
	}
	if err := h.RemovePasskey(t.Context(), "jeannine", acc.Passkeys[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.signIn(d); code(err) != "passkey-refused" {
		t.Errorf("a passkey that was removed: %v", err)
	}
}

// What is not exactly the answer to our question signs nobody in.
func TestPasskeysThatAreRefused(t *testing.T) {
	t.Attr("shows", "attacks")
	h := newHouse(t, nil)
	d, thief := newDevice(t), newDevice(t)
	key, err := h.offered(d, "jeannine")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Claim(t.Context(), h.offer(), "jeannine", Secret{Passkey: key}, here, ""); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	try := func(name string, answer func(options []byte) []byte) {
		t.Helper()
		options, state, err := h.AskPasskey(ctx, atHome)
		if err != nil {
			t.Fatal(err)
		}
		if cookie, err := h.SignInByPasskey(ctx, atHome, state, answer(options), "", ""); code(err) != "passkey-refused" || cookie != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	phished := *d
	phished.origin = "https://foyer.example"
	try("another origin", phished.use)
	elsewhere := *d
	elsewhere.host = "foyer.example"
	try("another host", elsewhere.use)
	forged := *thief
	forged.id, forged.handle = d.id, d.handle
	try("another key", forged.use)
	nobody := *d
	nobody.handle = make([]byte, 32)
	try("a handle nobody has", nobody.use)
	try("nonsense", func([]byte) []byte { return []byte(`{"id":`) })
	other, _, err := h.AskPasskey(ctx, atHome)
	if err != nil {
		t.Fatal(err)
	}
	try("the answer to another question", func([]byte) []byte { return d.use(other) })

	// An answer is good once.
	options, state, err := h.AskPasskey(ctx, atHome)
	if err != nil {
		t.Fatal(err)
	}
	answer := d.use(options)
	cookie, err := h.SignInByPasskey(ctx, atHome, state, answer, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.SignInByPasskey(ctx, atHome, state, answer, "", cookie); code(err) != "passkey-refused" || h.who(cookie) == "" {
		t.Errorf("twice: %v", err)
	}
	// Elsewhere, by another of our names, it is no passkey.
	there := Place{Host: "foyer.example", Origin: "https://foyer.example", Server: "Foyer"}
	moved := *d
	moved.host, moved.origin = there.Host, there.Origin
	if options, state, err = h.AskPasskey(ctx, there); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SignInByPasskey(ctx, there, state, moved.use(options), "", ""); code(err) != "passkey-refused" {
		t.Errorf("by another name: %v", err)
	}
	// Nor is a new one taken that was made for elsewhere, for a question we did not
	// ask, or too late.
	if _, err := h.offered(&phished, "jeannine"); code(err) != "passkey-refused" {
		t.Errorf("made for another origin: %v", err)
	}
	if options, state, err = h.OfferPasskey(ctx, atHome, "eve", false); err != nil {
		t.Fatal(err)
	}
	made := thief.make(options)
	if _, err := h.TakePasskey(ctx, atHome, state, made, ""); err != nil {
		t.Fatal(err)
	}
	last := state[len(state)-2:]
	for _, forged := range []string{"", "AAAA", state[:len(state)-2] + map[bool]string{true: "AA", false: "BA"}[last != "AA"], "A" + state[1:] + "A"} {
		if _, err := h.TakePasskey(ctx, atHome, forged, made, ""); code(err) != "passkey-refused" {
			t.Errorf("state %q: %v", forged, err)
		}
	}
	q, err := h.answered(ctx, state)
	if err != nil {
		t.Fatal(err)
	}
	q.Until = time.Now().Add(-time.Second)
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	mac, err := h.sign(ctx, "passkey", text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.TakePasskey(ctx, atHome, b64(append(mac, text...)), made, ""); code(err) != "passkey-refused" {
		t.Errorf("too late: %v", err)
	}
	if _, err := h.signIn(thief); code(err) != "passkey-refused" {
		t.Errorf("a passkey that was made and is nobody's: %v", err)
	}
}

// Sessions end by themselves, and the newest are kept.
func TestSessionsEnd(t *testing.T) {
	t.Attr("shows", "attacks")
	h := newHouse(t, nil)
	if err := h.claim(t.Context(), h.offer(), "jeannine", "correct horse"); err != nil {
		t.Fatal(err)
	}
	open := func() string {
		t.Helper()
		cookie, err := h.SignIn(t.Context(), "jeannine", "correct horse", From{Address: here}, "", "")
		if err != nil {
			t.Fatal(err)
		}
		return cookie
	}
	age := func(cookie string, made, seen time.Duration) {
		t.Helper()
		err := h.change(context.Background(), "jeannine", func(_ kinto.Tx, p *person, _ string) error {
			s := p.match(cookie[len("jeannine:"):])
			s.Made, s.Seen = time.Now().Add(-made), time.Now().Add(-seen)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	const long = 24 * time.Hour
	for _, c := range []struct {
		name       string
		made, seen time.Duration
		lives      bool
	}{
		{"used lately", 179 * long, time.Minute, true},
		{"not used for 29 days", 100 * long, 29 * long, true},
		{"not used for 31 days", 100 * long, 31 * long, false},
		{"begun 181 days ago", 181 * long, time.Minute, false},
	} {
		cookie := open()
		age(cookie, c.made, c.seen)
		if got := h.who(cookie) != ""; got != c.lives {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	first := open()
	age(first, time.Hour, 2*time.Hour)
	for range sessionsMost {
		open()
	}
	if h.who(first) != "" {
		t.Error("more sessions than may be are kept")
	}
	for _, bad := range []string{"", ":", "jeannine:", "jeannine", "/../:x", "nobody:x", first + "x"} {
		if h.who(bad) != "" {
			t.Errorf("%q is somebody", bad)
		}
	}
}
