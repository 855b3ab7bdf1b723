package mac

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"
)

const (
	standardVersion = "v1,"
	// standardLen is the length of a MAC in base64 with its padding, in bytes.
	standardLen = (sha256.Size + 2) / 3 * 4
)

// SecretPrefix begins the secrets of Standard Webhooks.
const SecretPrefix = "whsec_"

// StandardSecret returns the secret of a key: the prefix and the key's base64.
func StandardSecret(key []byte) string {
	return SecretPrefix + base64.StdEncoding.EncodeToString(key)
}

// StandardKey returns the bytes of a secret's key in the scheme of Standard Webhooks: what the
// base64 behind the prefix stands for, or else the secret itself.
func StandardKey(secret string) string {
	text, ok := strings.CutPrefix(secret, SecretPrefix)
	if !ok || strings.ContainsAny(text, "\r\n") { // package base64 would skip line ends
		return secret
	}
	encoding := base64.RawStdEncoding
	if len(text)%4 == 0 {
		encoding = base64.StdEncoding
	}
	key, err := encoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return secret
	}
	return string(key)
}

// SignStandard returns "v1," and the MAC of id.timestamp.body in base64.
func SignStandard(body []byte, id, timestamp, key string) string {
	m := Get()
	defer m.Put()
	sum := m.standard(body, id, timestamp, key)
	return standardVersion + string(sum[:])
}

// standard returns the MAC of id.timestamp.body in base64.
func (m *MAC) standard(body []byte, id, timestamp, key string) (text [standardLen]byte) {
	m.head = append(m.head[:0], id...)
	m.head = append(m.head, '.')
	m.head = append(m.head, timestamp...)
	m.head = append(m.head, '.')
	m.sumOf(key, m.head, body)
	base64.StdEncoding.Encode(text[:], m.sum[:])
	return text
}

// HasStandard reports whether one of the signatures, which blanks part, has the form of
// [SignStandard].
func HasStandard(signatures string) bool {
	for entry := range strings.SplitSeq(signatures, " ") {
		if isStandard(entry) {
			return true
		}
	}
	return false
}

func isStandard(entry string) bool {
	return len(entry) == len(standardVersion)+standardLen && entry[:len(standardVersion)] == standardVersion
}

// MatchesStandard reports whether one of the signatures is that of [SignStandard]. It compares
// every one, even after one has matched, so that its running time does not depend on their
// order. It compares base64 text and not bytes: several texts decode to the same bytes, and only
// one of them is published.
func (m *MAC) MatchesStandard(body []byte, id, timestamp, signatures, key string) bool {
	want := m.standard(body, id, timestamp, key)
	matched := 0
	for entry := range strings.SplitSeq(signatures, " ") {
		if isStandard(entry) {
			var claimed [standardLen]byte // []byte(entry) would allocate
			copy(claimed[:], entry[len(standardVersion):])
			matched |= subtle.ConstantTimeCompare(want[:], claimed[:])
		}
	}
	return matched == 1
}

// ParseTimestamp reads a number of 1 to 12 digits without a leading zero.
// It accepts no other spelling, because the signature covers the text and not the
// number.
func ParseTimestamp(text string) (at time.Time, ok bool) {
	if text == "" || len(text) > 12 || text[0] == '0' {
		return time.Time{}, false
	}
	var seconds int64
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return time.Time{}, false
		}
		seconds = 10*seconds + int64(text[i]-'0')
	}
	return time.Unix(seconds, 0), true
}
