package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// The lengths of a key that Standard Webhooks allows.
const (
	minKey = 24
	maxKey = 64
)

// parseSecrets reads secrets with white space between. Its errors do not show
// them.
func parseSecrets(s string) ([][]byte, error) {
	var keys [][]byte
	for _, one := range strings.Fields(s) {
		text, ok := strings.CutPrefix(one, "whsec_")
		if !ok {
			return nil, errors.New("a webhook secret starts with whsec_")
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("a webhook secret is whsec_ and base64")
		}
		if len(key) < minKey || len(key) > maxKey {
			return nil, errors.New("a webhook secret holds 24 to 64 bytes")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// sign returns the webhook-signature header: a signature of each secret over
// id, time and body.
func sign(secrets [][]byte, id, at string, body []byte) string {
	var out []string
	for _, key := range secrets {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(id + "." + at + "."))
		h.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	return strings.Join(out, " ")
}
