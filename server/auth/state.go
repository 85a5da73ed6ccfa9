package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// state is a sign-in under way. It goes with the browser to the provider and comes back
// with it: anybody may begin one, and nothing is kept for it here. It is sealed (AES-GCM,
// with a key that is derived from the server's secret), so that nobody makes one up or reads
// it, and opens only for the browser that began, which has a secret of its own in a cookie.
type state struct {
	Provider string    `json:"provider"`
	Callback string    `json:"callback"`
	Until    time.Time `json:"until"`
}

// stateKey is the name of the note that a state was used.
func stateKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "openid:used:" + hex.EncodeToString(sum[:])
}

func (a *Auth) stateCipher(ctx context.Context) (cipher.AEAD, error) {
	secret, err := a.people.HMACSecret(ctx)
	if err != nil {
		return nil, err
	}
	key := hmac.New(sha256.New, secret)
	key.Write([]byte("states of sign-ins")) // never fails
	block, err := aes.NewCipher(key.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealState is a state as text, for a browser.
func (a *Auth) sealState(ctx context.Context, s state, browser string) (string, error) {
	c, err := a.stateCipher(ctx)
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(c.Seal(nil, nil, raw, []byte(browser))), nil
}

// openState reads what sealState wrote; ErrState: it was not begun here by this browser,
// took too long, or was used.
func (a *Auth) openState(ctx context.Context, text, browser string) (s state, err error) {
	c, err := a.stateCipher(ctx)
	if err != nil {
		return s, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return s, ErrState
	}
	raw, err := c.Open(nil, nil, sealed, []byte(browser))
	if err != nil || json.Unmarshal(raw, &s) != nil || !time.Now().Before(s.Until) {
		return s, ErrState
	}
	err = a.store.Read(ctx, func(tx kinto.Reader) error {
		used, err := tx.Note(stateKey(text))
		if err == nil && used != nil {
			err = ErrState
		}
		return err
	})
	return s, err
}
