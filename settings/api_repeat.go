package settings

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/alot/alotwebhook/internal/repeats"
	"github.com/alot/alotwebhook/internal/text"
)

// keyHeader is the header with which a client repeats a POST without repeating its
// work. Source: draft-ietf-httpapi-idempotency-key-header.
const keyHeader = "Idempotency-Key"

// maxKey is the longest key, in bytes.
const maxKey = 255

// repeat is what a route does about a repeated request, one with a key that came
// before. The zero value runs the operation again: that is for methods that are idempotent,
// for which a key makes no difference.
type repeat struct {
	// actsOnce says that the operation can run again, because the dispatcher finds what the
	// key made before: in every process, also after a restart.
	actsOnce bool
	// again responds to a repeated request in place of the operation, in this process. The id of
	// what the first one made, if its response says that, stands in the place of one in the path. In
	// another one, or after a restart, a repeated request does its work again: receivers
	// have to expect an event twice anyway.
	again operation
}

var (
	asIs     = repeat{}
	actsOnce = repeat{actsOnce: true}
)

// remembered is for a route that responds to a repeated request by again.
func remembered(again operation) repeat { return repeat{again: again} }

// once runs the operation of the route, or again in its place if the request is a repeated
// one.
func (a *api) once(rt *route, r *http.Request, who caller) (response, error) {
	key, err := readKey(r)
	if err != nil {
		return response{}, err
	}
	if key == "" || !rt.repeat.actsOnce && rt.repeat.again == nil {
		return rt.act(r, who)
	}
	body, err := readAll(r)
	if err != nil {
		return response{}, err
	}
	setBody(r, body)
	request, done, err := a.repeats.Begin(who.organization, text.Hash(rt.pattern, r.PathValue("id"), key), text.Hash(r.URL.RawQuery, string(body)))
	switch {
	case errors.Is(err, repeats.ErrReused):
		return response{}, errKeyReused
	case errors.Is(err, repeats.ErrInProgress):
		return response{}, errInProgress
	case done && rt.repeat.again != nil:
		if request.Made != "" {
			r.SetPathValue("id", request.Made)
		}
		result, err := rt.repeat.again(r, who)
		return result.repeated(true), err
	}
	ok := false
	defer func() { a.repeats.End(request, ok) }() // after a panic, too
	result, err := rt.act(r, who)
	ok, request.Made = err == nil, result.made
	return result, err
}

// setBody gives the request a body that was read from it before.
func setBody(r *http.Request, body []byte) {
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = readCloser{bytes.NewReader(body)}
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// readKey returns the key of the request; "" if it has none. The key may stand in
// quotation marks, as the draft wants, or without them.
func readKey(r *http.Request) (string, error) {
	given := r.Header.Values(keyHeader)
	if len(given) == 0 {
		return "", nil
	}
	key := given[0]
	if len(key) > 1 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		key = key[1 : len(key)-1]
	}
	outside := strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
	if len(given) > 1 || key == "" || len(key) > maxKey || outside {
		p := fieldProblem{keyHeader, fmt.Sprintf("must be one key of 1 to %d visible ASCII characters, such as a UUID", maxKey)}
		return "", malformed(summary([]fieldProblem{p}), p)
	}
	return key, nil
}
