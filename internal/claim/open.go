package claim

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/alot/alotwebhook/internal/bodybuf"
	"github.com/alot/alotwebhook/internal/hint"
)

var errNoRequest = errors.New("alotwebhook: the request is nil; give the one that the handler got")

// Read reads a request's body and verifies it. It makes every check that does not need the body
// before. The caller frees the buffer if there is no error.
func (k *Keys) Read(r *http.Request, maxBytes int64, budget *bodybuf.Budget) (buf *bodybuf.Buffer, index int, err error) {
	if r == nil {
		return nil, -1, errNoRequest
	}
	c, err := k.check(r.Header, r.ContentLength, maxBytes)
	if err != nil {
		return nil, -1, err
	}
	if buf, err = bodybuf.Read(r.Body, maxBytes, budget); err != nil {
		return nil, -1, err
	}
	if index, err = k.Match(buf.Bytes(), &c); err != nil {
		err = fmt.Errorf("%w: %s", err, hint.Mismatch(buf.Bytes(), r.ContentLength))
		buf.Free()
		return nil, -1, err
	}
	return buf, index, nil
}

// Verify verifies a body that is in memory already. It takes names of headers in any case, and returns
// them in canonical form.
func (k *Keys) Verify(body []byte, h http.Header, maxBytes int64) (own http.Header, index int, err error) {
	own = Canonical(h)
	c, err := k.check(own, int64(len(body)), maxBytes)
	if err != nil {
		return own, -1, err
	}
	if index, err = k.Match(body, &c); err != nil {
		err = fmt.Errorf("%w: %s", err, hint.Mismatch(body, -1))
	}
	return own, index, err
}

// check returns the signature that the headers claim. It makes every check
// that does not need the body.
func (k *Keys) check(h http.Header, length, maxBytes int64) (c Claim, err error) {
	if c, err = k.Of(h); err != nil {
		return c, err
	}
	for _, encoding := range h["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return c, ErrIsEncoded
		}
	}
	if length > maxBytes {
		return c, bodybuf.TooLarge(maxBytes)
	}
	return c, nil
}
