package mac

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

const (
	// hexPrefix names the algorithm. The wire contract has only this one.
	hexPrefix = "sha256="
	// hexLen is the length of every signature in bytes: the prefix and 64 hex digits.
	hexLen = len(hexPrefix) + 2*sha256.Size
)

// Sum is a MAC.
type Sum = [sha256.Size]byte

// Sign returns "sha256=" and the MAC of the body in lower-case hex.
func Sign(body []byte, key string) string {
	m := Get()
	defer m.Put()
	m.sumOf(key, nil, body)
	hex.Encode(m.text[len(hexPrefix):], m.sum[:])
	return string(m.text[:])
}

// Matches reports whether sum is the MAC of the body.
func (m *MAC) Matches(body []byte, key string, sum *Sum) bool {
	m.sumOf(key, nil, body)
	return subtle.ConstantTimeCompare(m.sum[:], sum[:]) == 1
}

// Parse decodes a signature in the form of [Sign], and in no other form. Its running time
// depends on the value, and may: the sender of the request knows that value.
func Parse(signature string) (sum Sum, ok bool) {
	digits, ok := strings.CutPrefix(signature, hexPrefix)
	if !ok || len(digits) != 2*len(sum) {
		return sum, false
	}
	var bad byte
	for i := range sum {
		high, low := hexDigits[digits[2*i]], hexDigits[digits[2*i+1]]
		bad |= high | low
		sum[i] = high<<4 | low
	}
	return sum, bad <= 0x0f
}

// hexDigits maps each lower-case hex digit to its value, and every other byte to 0xff.
var hexDigits = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()
