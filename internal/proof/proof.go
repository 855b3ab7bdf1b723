// Package proof is how a receiver proves that it has the secret of its endpoint: the challenge, which
// is the data of an event, and its answer. Both have the form of Zoom's "endpoint.url_validation".
package proof

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/alot/alotwebhook/internal/mac"
)

// EventType is the type of the event that holds a challenge.
const EventType = "endpoint.url_validation"

// MaxAnswer is how many bytes of a response are read for the answer.
const MaxAnswer = 4 << 10

// tokenBytes is how many random bytes a token has. Its letters are those of base64url: no payload and
// no text that Standard Webhooks signs consists of them alone, so that a MAC of a token signs neither.
const tokenBytes = 32

type challenge struct {
	Token string `json:"plainToken"`
}

type answer struct {
	challenge
	Proof string `json:"encryptedToken"`
}

// NewData returns the data of a new challenge.
func NewData() json.RawMessage {
	var b [tokenBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	data, _ := json.Marshal(challenge{base64.RawURLEncoding.EncodeToString(b[:])})
	return data
}

// token returns the token of an event's data, or "" if that is no challenge. It takes no token of
// another form: with it, a receiver could be made to sign what somebody else chose.
func token(data []byte) string {
	var c challenge
	if json.Unmarshal(data, &c) != nil {
		return ""
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(c.Token); err != nil || len(b) != tokenBytes || strings.ContainsAny(c.Token, "\r\n") {
		return ""
	}
	return c.Token
}

// Answer returns the body of the response to an event, made with the key that verified its signature;
// nil if it is no challenge.
func Answer(eventType string, data []byte, key string) []byte {
	t := token(data)
	if eventType != EventType || t == "" || key == "" {
		return nil
	}
	body, _ := json.Marshal(answer{challenge{t}, sum(t, key)})
	return body
}

func sum(token, key string) string {
	_, digits, _ := strings.Cut(mac.Sign([]byte(token), key), "=")
	return digits
}

// Problem says why the body of a response is no proof for a challenge, or "" if it is one, made with
// any of the secrets: with their bytes, or with the key that Standard Webhooks derives from them.
func Problem(body string, data []byte, secrets ...string) string {
	t := token(data)
	var a answer
	err := json.Unmarshal([]byte(body), &a)
	for _, secret := range secrets {
		for _, key := range []string{secret, mac.StandardKey(secret)} {
			if err == nil && key != "" && t != "" && hmac.Equal([]byte(a.Proof), []byte(sum(t, key))) {
				return ""
			}
		}
	}
	switch {
	case strings.TrimSpace(body) == "":
		return "the response has no body; it must be a JSON object with encryptedToken"
	case err != nil:
		return "the response's body is no JSON object with encryptedToken"
	case a.Proof == "" && strings.Contains(body, t):
		return "the response repeats the challenge, which proves nothing; encryptedToken is missing"
	case a.Proof == "":
		return "encryptedToken is missing in the response"
	}
	return "encryptedToken is wrong: it must be the HMAC-SHA256 of plainToken with the endpoint's secret, in lower-case hex"
}
