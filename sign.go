package alotwebhook

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"encoding/hex"
	"hash"
	"sync"
)

// SignatureHeader is the request header that carries the signature.
const SignatureHeader = "X-Alot-Signature"

// signaturePrefix names the one algorithm there is.
const signaturePrefix = "sha256="

// signatureLen is the length of every signature: the prefix and 64 hex digits.
const signatureLen = len(signaturePrefix) + 2*sha256.Size

// Sign returns the value of [SignatureHeader] for a body: "sha256=" and the
// lower-case hex HMAC-SHA256 of exactly these bytes.
//
// An empty secret signs too, but no [Verify] accepts it, and no endpoint can have it.
func Sign(body []byte, secret Secret) string {
	m := macs.Get().(*mac)
	defer macs.Put(m)
	return string(m.signature(body, secret))
}

// mac computes signatures without allocating. It composes HMAC (RFC 2104) from
// crypto/sha256 because crypto/hmac allocates for every key, and panics under
// GODEBUG=fips140=only for a key shorter than 14 bytes, which the published
// contract allows. RFC 4231 and Wycheproof vectors hold it to the standard.
type mac struct {
	hash resumableHash
	// key is the last one, inner and outer what the hash was left at behind it:
	// most often the next signature is with the same.
	key          Secret
	inner, outer []byte
	pad          [sha256.BlockSize]byte
	sum          [sha256.Size]byte
	text         [signatureLen]byte
	head         []byte // what Standard Webhooks signs in front of the body
}

// resumableHash is what crypto/sha256 promises of its hashes.
type resumableHash interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

var macs = sync.Pool{New: func() any {
	m := &mac{hash: sha256.New().(resumableHash)}
	copy(m.text[:], signaturePrefix)
	return m
}}

// signature returns the whole header value; it is valid until the next call.
func (m *mac) signature(body []byte, secret Secret) []byte {
	m.sumOf(secret, nil, body)
	hex.Encode(m.text[len(signaturePrefix):], m.sum[:])
	return m.text[:]
}

// sumOf leaves the MAC of head and body in m.sum.
func (m *mac) sumOf(key Secret, head, body []byte) {
	if m.inner == nil || m.key != key {
		m.prepare(key)
	}
	_ = m.hash.UnmarshalBinary(m.inner) // never fails for a state of its own
	m.hash.Write(head)
	m.hash.Write(body)
	m.hash.Sum(m.sum[:0])
	_ = m.hash.UnmarshalBinary(m.outer)
	m.hash.Write(m.sum[:])
	m.hash.Sum(m.sum[:0])
}

// What RFC 2104 combines the key with, and what makes the one of the other.
var (
	innerPad     = bytes.Repeat([]byte{0x36}, sha256.BlockSize)
	innerToOuter = bytes.Repeat([]byte{0x36 ^ 0x5c}, sha256.BlockSize)
)

// prepare takes the hash past the key, both ways, and keeps where that leaves it.
func (m *mac) prepare(key Secret) {
	pad := m.pad[:]
	m.fill(pad, key)
	subtle.XORBytes(pad, pad, innerPad)
	m.inner = m.after(m.inner, pad)
	subtle.XORBytes(pad, pad, innerToOuter)
	m.outer = m.after(m.outer, pad)
	m.key = key
	clear(pad)
}

// after returns the state of the hash behind a block, in the memory of another.
func (m *mac) after(state, block []byte) []byte {
	m.hash.Reset()
	m.hash.Write(block)
	state, _ = m.hash.AppendBinary(state[:0]) // never fails
	return state
}

// fill fills the pad with the key, or with its hash if it is longer.
func (m *mac) fill(pad []byte, key Secret) {
	clear(pad)
	if len(key) <= len(pad) {
		copy(pad, key)
		return
	}
	m.hash.Reset()
	for rest := string(key); len(rest) > 0; {
		n := copy(pad, rest)
		m.hash.Write(pad[:n])
		rest = rest[n:]
	}
	clear(pad)
	m.hash.Sum(pad[:0])
}
