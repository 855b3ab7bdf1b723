// Package mac makes and compares the two forms of a signature: the published one, and that of
// Standard Webhooks. All comparisons take the same time whatever differs.
package mac

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"hash"
	"sync"
)

// MAC computes HMAC-SHA256 (RFC 2104) without allocating. Take one with [Get]. It is built on
// crypto/sha256, because crypto/hmac allocates for every key, and panics under
// GODEBUG=fips140=only if a key is shorter than 14 bytes, and the published
// contract allows shorter ones. The tests compare it with the vectors of RFC 4231
// and of Wycheproof.
type MAC struct {
	hash resumableHash
	// inner and outer are the SHA-256 states after HMAC's inner and outer pad
	// for key. The next call usually has the same key and skips both blocks.
	key          string
	inner, outer []byte
	pad          [sha256.BlockSize]byte
	sum          [sha256.Size]byte // the MAC, after sumOf
	text         [hexLen]byte      // the header value, after Sign
	head         []byte            // the text that Standard Webhooks signs in front of the body
}

// resumableHash is a hash whose state can be stored and restored. The
// documentation of crypto/sha256 promises this of its hashes.
type resumableHash interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

var macs = sync.Pool{New: func() any {
	m := &MAC{hash: sha256.New().(resumableHash)}
	copy(m.text[:], hexPrefix)
	return m
}}

// Get returns a MAC. Give it back with [MAC.Put].
func Get() *MAC { return macs.Get().(*MAC) }

// Put gives m back.
func (m *MAC) Put() { macs.Put(m) }

// sumOf stores the MAC of head and body, one after the other, in m.sum.
func (m *MAC) sumOf(key string, head, body []byte) {
	if m.inner == nil || m.key != key {
		m.prepare(key)
	}
	_ = m.hash.UnmarshalBinary(m.inner) // never fails for a state that AppendBinary wrote
	m.hash.Write(head)
	m.hash.Write(body)
	m.hash.Sum(m.sum[:0])
	_ = m.hash.UnmarshalBinary(m.outer)
	m.hash.Write(m.sum[:])
	m.hash.Sum(m.sum[:0])
}

// innerPad is RFC 2104's ipad, byte for byte over a block. XOR with innerToOuter
// turns key^ipad into key^opad.
var (
	innerPad     = bytes.Repeat([]byte{0x36}, sha256.BlockSize)
	innerToOuter = bytes.Repeat([]byte{0x36 ^ 0x5c}, sha256.BlockSize)
)

// prepare computes the states inner and outer for a key.
func (m *MAC) prepare(key string) {
	pad := m.pad[:]
	m.fill(pad, key)
	subtle.XORBytes(pad, pad, innerPad)
	m.inner = m.after(m.inner, pad)
	subtle.XORBytes(pad, pad, innerToOuter)
	m.outer = m.after(m.outer, pad)
	m.key = key
	clear(pad)
}

// after returns the state of a new hash after one block. It reuses the memory of
// an older state.
func (m *MAC) after(state, block []byte) []byte {
	m.hash.Reset()
	m.hash.Write(block)
	state, _ = m.hash.AppendBinary(state[:0]) // never fails
	return state
}

// fill copies the key into the pad and leaves the rest zero. As RFC 2104 says, it
// copies the SHA-256 of a key that is longer than a block.
func (m *MAC) fill(pad []byte, key string) {
	clear(pad)
	if len(key) <= len(pad) {
		copy(pad, key)
		return
	}
	m.hash.Reset()
	for rest := key; len(rest) > 0; {
		n := copy(pad, rest)
		m.hash.Write(pad[:n])
		rest = rest[n:]
	}
	clear(pad)
	m.hash.Sum(pad[:0])
}
