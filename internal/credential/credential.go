// Package credential packs what an endpoint's requests prove themselves with, its own headers and its
// client certificate, into one text that a store keeps: what anybody may read of them in plain, all
// else sealed.
package credential

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/headerrules"
	"github.com/alot/alotwebhook/internal/wire"
)

// Header is a header with its value.
type Header = headerrules.Header

// Kept is what a store keeps, as JSON; "" stands for none.
type Kept struct {
	// Headers are the names.
	Headers     []string     `json:"headers,omitempty"`
	Certificate *Certificate `json:"certificate,omitempty"`
	// Changes counts the changes of the headers, so that one of values alone can be told.
	Changes int64 `json:"changes"`
	// Sealed is the JSON of secrets, as the sealer left it.
	Sealed string `json:"sealed"`
}

// secrets is what is sealed.
type secrets struct {
	Headers     []Header `json:"headers,omitempty"`
	Certificate string   `json:"certificate,omitempty"` // PEM
	// URL is the one that they are for. Whoever can write to the database, or a process of an older
	// release, can change that of the endpoint: nothing is sent there then.
	URL string `json:"url"`
}

// Read returns what anybody may read of a stored text: nothing if it is "" or damaged.
func Read(text string) (k Kept) {
	if text != "" && json.Unmarshal([]byte(text), &k) != nil {
		return Kept{}
	}
	k.Sealed = ""
	return k
}

// Box seals and opens what one endpoint keeps.
type Box struct {
	endpointID string
	seal, open func(endpointID, text string) (string, error)
}

// NewBox returns the box of an endpoint. texts returns the functions that seal and open.
func NewBox(endpointID string, texts func() (seal, open func(endpointID, text string) (string, error))) Box {
	b := Box{endpointID: endpointID}
	b.seal, b.open = texts()
	return b
}

// unpack opens a stored text. Its errors quote nothing of it.
func (b Box) unpack(text string) (k Kept, s secrets, err error) {
	if text == "" {
		return k, s, nil
	}
	damaged := fmt.Errorf("the stored headers or the certificate of %s are damaged; give them again", b.endpointID)
	if json.Unmarshal([]byte(text), &k) != nil {
		return k, s, damaged
	}
	plain, err := b.open(b.endpointID, k.Sealed)
	if err != nil {
		return k, s, fault.Explain(err, "headers and certificate not opened")
	}
	if json.Unmarshal([]byte(plain), &s) != nil { // whose error would quote it
		return k, s, damaged
	}
	return k, s, nil
}

// Change is what somebody wants an endpoint to have.
type Change struct {
	// Headers replace all; nil keeps them. One without a value keeps the value of its name.
	Headers []Header
	// Certificate replaces it; nil keeps it, and "" removes it. Read says that it was given as it was
	// read, so that there must be one to keep.
	Certificate *string
	Read        bool
	// URL is where requests go from now on. Moved says that it is another one than before. Nothing is
	// kept then: whoever has the new URL is not the one that the values were meant for.
	URL   string
	Moved bool
}

// Problems of what cannot be kept.
const (
	movedHeaders     = "were given for the URL that the endpoint had, and are not sent to another one: give them again with their values, or none"
	movedValue       = "was given for the URL that the endpoint had, and is not sent to another one: give it again, or leave the header out"
	noCertificate    = "has no PEM, and there is none to keep: give it in PEM with its private key, or none"
	movedCertificate = "was given for the URL that the endpoint had, and is not used for another one: give it again, or none"
)

// Apply returns the text that a store is to keep after a change, and the same text if it changes
// nothing. A [guard.Refusal] says what is not allowed.
func (b Box) Apply(text string, c Change) (string, error) {
	old := Read(text)
	if c.Read && old.Certificate == nil {
		return "", &guard.Refusal{Field: "clientCertificate", Problem: noCertificate}
	}
	if old.has(c) && !c.Moved && !(c.Headers != nil && old.isDamaged(text)) {
		return text, nil
	}
	k, s, err := b.unpack(text)
	switch {
	case err != nil && !old.replacedBy(c):
		return "", err
	case err != nil: // nothing of it is needed
		k, s, text = Kept{Changes: old.Changes}, secrets{}, ""
	}
	c.Moved = c.Moved || text != "" && s.URL != c.URL
	if c.Moved && c.Headers == nil && len(k.Headers) > 0 {
		return "", &guard.Refusal{Field: "headers", Problem: movedHeaders}
	}
	s.URL = c.URL
	if c.Headers != nil && !(old.hasHeaders(c.Headers) && !c.Moved) {
		if s.Headers, err = checked(s.Headers, c); err != nil {
			return "", err
		}
		k.Headers, k.Changes = namesOf(s.Headers), k.Changes+1
	}
	if c.Moved && c.Certificate == nil && k.Certificate != nil {
		return "", &guard.Refusal{Field: "clientCertificate", Problem: movedCertificate}
	}
	if c.Certificate != nil {
		if k.Certificate, err = describe(*c.Certificate, old.Certificate); err != nil {
			return "", err
		}
		s.Certificate = bare(*c.Certificate)
	}
	return b.pack(k, s)
}

// has reports whether a change leaves everything as it is.
func (k Kept) has(c Change) bool {
	return (c.Headers == nil || k.hasHeaders(c.Headers)) && (c.Certificate == nil || *c.Certificate == "" && k.Certificate == nil)
}

// isDamaged reports whether k is all that could be read of a text that holds more.
func (k Kept) isDamaged(text string) bool {
	return text != "" && len(k.Headers) == 0 && k.Certificate == nil
}

// replacedBy reports whether a change keeps nothing.
func (k Kept) replacedBy(c Change) bool {
	keeps := slices.ContainsFunc(c.Headers, func(h Header) bool { return h.Value == "" })
	return c.Headers != nil && !keeps && (c.Certificate != nil || k.Certificate == nil)
}

// hasHeaders reports whether a list keeps all headers in their order.
func (k Kept) hasHeaders(list []Header) bool {
	return slices.EqualFunc(k.Headers, list, func(name string, h Header) bool { return h.Value == "" && h.Name == name })
}

// checked returns the headers of a change, with the values that it keeps of the old ones.
func checked(old []Header, c Change) ([]Header, error) {
	list := slices.Clone(c.Headers)
	for i, h := range list {
		at := slices.IndexFunc(old, func(o Header) bool { return o.Name == h.Name })
		if h.Value != "" || at < 0 {
			continue
		}
		if c.Moved {
			return nil, &guard.Refusal{Field: fmt.Sprintf("headers[%d].value", i), Problem: fmt.Sprintf("of %q %s", h.Name, movedValue)}
		}
		list[i].Value = old[at].Value
	}
	if part, problem := headerrules.Problem(list); problem != "" {
		return nil, &guard.Refusal{Field: "headers" + part, Problem: problem}
	}
	return list, nil
}

func namesOf(list []Header) (names []string) {
	for _, h := range list {
		names = append(names, h.Name)
	}
	return names
}

// pack returns the text for a store.
func (b Box) pack(k Kept, s secrets) (string, error) {
	if len(s.Headers) == 0 && s.Certificate == "" {
		return "", nil
	}
	plain, err := encode(s)
	if err != nil {
		return "", err
	}
	if k.Sealed, err = b.seal(b.endpointID, plain); err != nil {
		return "", fault.Explain(err, "headers and certificate not sealed")
	}
	return encode(k)
}

// encode returns JSON in which <, > and & stand for themselves.
func encode(v any) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil { // whose error might quote a value
		return "", errors.New("headers and certificate not encoded")
	}
	return string(bytes.TrimSpace(buf.Bytes())), nil
}

// Reseal returns a stored text that is sealed anew.
func (b Box) Reseal(text string) (string, error) {
	k, s, err := b.unpack(text)
	if err != nil {
		return "", err
	}
	return b.pack(k, s)
}

// SealedPart returns the part of a stored text that is sealed; "" if there is none.
func SealedPart(text string) string {
	var k Kept
	_ = json.Unmarshal([]byte(text), &k)
	return k.Sealed
}

// Holds reports whether a stored text holds exactly what a change of nothing gives.
func (b Box) Holds(text string, c Change) (bool, error) {
	_, s, err := b.unpack(text)
	if err != nil {
		return false, err
	}
	asked := secrets{Headers: c.Headers, URL: s.URL}
	if c.Certificate != nil {
		asked.Certificate = bare(*c.Certificate)
	}
	was, err := encode(s)
	if err != nil {
		return false, err
	}
	is, err := encode(asked)
	return err == nil && hmac.Equal([]byte(was), []byte(is)), err
}

// SameHeaders reports whether nobody has changed the headers from one text to the next.
func (k Kept) SameHeaders(next Kept) bool {
	return k.Changes == next.Changes && slices.Equal(k.Headers, next.Headers)
}

// SameCertificate reports whether nobody has changed the certificate from one text to the next.
func (k Kept) SameCertificate(next Kept) bool {
	if k.Certificate == nil || next.Certificate == nil {
		return k.Certificate == next.Certificate
	}
	return *k.Certificate == *next.Certificate
}

// Prepare opens a stored text, and returns it as requests are sent with it.
// They are for that URL alone. What a later release refuses is not sent.
func (b Box) Prepare(text, url string) (h http.Header, as *wire.Identity, err error) {
	_, s, err := b.unpack(text)
	if err != nil {
		return nil, nil, err
	}
	part, problem := headerrules.Problem(s.Headers)
	switch {
	case s.URL != url:
		return nil, nil, fmt.Errorf("the headers or the certificate of %s were given for another URL; give them again", b.endpointID)
	case problem != "":
		return nil, nil, fmt.Errorf("headers%s of %s %s", part, b.endpointID, problem)
	}
	h = make(http.Header, len(s.Headers))
	for _, own := range s.Headers {
		h.Set(own.Name, own.Value)
	}
	if s.Certificate != "" {
		c, problem := parse(s.Certificate)
		if problem != "" {
			return nil, nil, fmt.Errorf("the client certificate of %s %s", b.endpointID, problem)
		}
		as = &wire.Identity{Certificate: c}
	}
	return h, as, nil
}
