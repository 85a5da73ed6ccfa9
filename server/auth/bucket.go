package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/foyer-server/foyer/server/kinto"
)

// DefaultBucket is the id of the bucket that is a caller's own, by the caller's id:
// the setting default_bucket_hmac_secret, or the secret of user ids, makes it one
// that nobody else can guess (protocol §8, default_bucket).
func (a *Auth) DefaultBucket(ctx context.Context, who kinto.Caller) (string, error) {
	secret := a.bucketSecret
	if len(secret) == 0 {
		var err error
		if secret, err = a.people.HMACSecret(ctx); err != nil {
			return "", err
		}
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(who.Principal()))
	h := hex.EncodeToString(mac.Sum(nil))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32], nil
}
