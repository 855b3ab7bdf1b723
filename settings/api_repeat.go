package settings

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/text"
)

// keyHeader is the header with which a client repeats a POST without repeating its
// work. Source: draft-ietf-httpapi-idempotency-key-header.
const keyHeader = "Idempotency-Key"

// maxKey is the longest key, in bytes.
const maxKey = 255

// repeat is what a route does about a repeated request, one with a key that came
// before.
type repeat int

const (
	// asIs runs the action again. It is for methods that are idempotent, for which a
	// key makes no difference.
	asIs repeat = iota
	// actsOnce runs the action again, and the dispatcher finds what the key made
	// before: in every process, also after a restart. No response is kept, because
	// it may hold a secret.
	actsOnce
	// remembered keeps the response in this process and sends it again. In another
	// process, or after a restart, a repeated request does its work again: receivers
	// have to expect an event twice anyway.
	remembered
)

// Bounds of what a process remembers.
const (
	maxRepeats = 1000
	repeatAge  = 24 * time.Hour
)

// repeats remembers the requests with a key that came lately.
type repeats struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*keyed // by the hash of key, route, path's id and organization
	order [][sha256.Size]byte          // the keys of known, oldest first
}

// keyed is a request that came with a key.
type keyed struct {
	print    [sha256.Size]byte // hash of the request, whose body may hold a secret
	at       time.Time
	response *response // nil if the request is not done, or its response is not kept
	done     bool
}

// once runs the action of the route. If the request is a repeated one and its
// response was kept, once returns that response instead.
func (a *api) once(rt *route, r *http.Request, organization string) (response, error) {
	key, err := readKey(r)
	if err != nil {
		return response{}, err
	}
	if rt.repeat == asIs || key == "" {
		return rt.act(r, organization)
	}
	body, err := readAll(r)
	if err != nil {
		return response{}, err
	}
	setBody(r, body)
	id := text.Hash(organization, rt.pattern, r.PathValue("id"), key)
	before, err := a.repeats.begin(id, text.Hash(r.URL.RawQuery, string(body)))
	if err != nil {
		return response{}, err
	}
	if before != nil {
		return response{before.status, before.body, before.header.Clone()}.repeated(true), nil
	}
	var result response
	ok := false
	defer func() { a.repeats.end(id, result, ok, rt.repeat == remembered) }() // after a panic, too
	result, err = rt.act(r, organization)
	ok = err == nil
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

// begin notes that a request with the key is being processed. It returns the kept
// response if there is one; then the request is not to be processed again.
func (m *repeats) begin(id, print [sha256.Size]byte) (*response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.known[id]
	switch {
	case before == nil || time.Since(before.at) > repeatAge:
		m.note(id, &keyed{print: print, at: time.Now()})
		return nil, nil
	case before.print != print:
		return nil, errKeyReused
	case !before.done:
		return nil, errInProgress
	}
	if before.response == nil {
		before.done = false
	}
	return before.response, nil
}

// note remembers a request, and forgets the oldest one if there are too many.
func (m *repeats) note(id [sha256.Size]byte, q *keyed) {
	if m.known == nil {
		m.known = map[[sha256.Size]byte]*keyed{}
	}
	if m.known[id] == nil {
		m.order = append(m.order, id)
	}
	m.known[id] = q
	if len(m.order) > maxRepeats {
		delete(m.known, m.order[0])
		m.order = m.order[1:]
	}
}

// end notes that a request was processed, and its response if keep is true. A
// request that failed changed nothing, so its key is free for any other request.
func (m *repeats) end(id [sha256.Size]byte, s response, ok, keep bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.known[id]
	switch {
	case q == nil: // forgotten already, because many other requests came
	case !ok:
		q.at, q.done = time.Time{}, true
	default:
		q.done = true
		if keep {
			q.response = &s
		}
	}
}
