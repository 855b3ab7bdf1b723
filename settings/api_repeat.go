package settings

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// keyHeader makes a POST that may come again do its work once. Source:
// draft-ietf-httpapi-idempotency-key-header.
const keyHeader = "Idempotency-Key"

// maxKey is the longest key, in bytes.
const maxKey = 255

// repeat says what a route does about a request that comes again with its key.
type repeat int

const (
	// asIs: the method is idempotent by itself.
	asIs repeat = iota
	// actsOnce: the dispatcher finds what the key made, in every process and
	// after restarts. The answer may hold a secret, so it is not kept here.
	actsOnce
	// remembered: the answer is kept here, in this process. What comes again
	// elsewhere sends deliveries again, which receivers are made for.
	remembered
)

// Bounds of what is remembered in a process.
const (
	maxRepeats = 1000
	repeatAge  = 24 * time.Hour
)

// repeats remembers the keys of late and what was asked with them.
type repeats struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*asked
	order [][sha256.Size]byte // oldest first
}

// asked is a request that came with a key.
type asked struct {
	print  [sha256.Size]byte // of the request; the body may hold a secret
	at     time.Time
	answer *answer // nil while it is worked on, or if it is not kept
	done   bool
}

// once runs the route's action, unless the key says that it ran.
func (a *api) once(rt *route, r *http.Request, organization string) (answer, error) {
	key, err := readKey(r)
	if err != nil {
		return answer{}, err
	}
	if rt.repeat == asIs || key == "" {
		return rt.act(r, organization)
	}
	body, err := readAll(r)
	if err != nil {
		return answer{}, err
	}
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = readCloser{bytes.NewReader(body)}
	}
	id := hash(organization, rt.pattern, r.PathValue("id"), key)
	before, err := a.repeats.begin(id, hash(r.URL.RawQuery, string(body)))
	if err != nil || before != nil {
		return replayed(before), err
	}
	var result answer
	ok := false
	defer func() { a.repeats.end(id, result, ok, rt.repeat == remembered) }() // after a panic, too
	result, err = rt.act(r, organization)
	ok = err == nil
	return result, err
}

// readCloser is a body that was read before.
type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// replayed marks an answer that was given before.
func replayed(a *answer) answer {
	if a == nil {
		return answer{}
	}
	return answer{status: a.status, body: a.body, header: a.header.Clone()}.repeated(true)
}

// readKey returns the key, with or without the quotation marks that the draft wants.
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
		p := fieldProblem{keyHeader, fmt.Sprintf("must be one of 1 to %d visible ASCII characters, such as a UUID", maxKey)}
		return "", malformed(summary([]fieldProblem{p}), p)
	}
	return key, nil
}

// begin returns the answer that is kept for the key, or notes that it is worked on.
func (m *repeats) begin(id, print [sha256.Size]byte) (*answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.known[id]
	switch {
	case before == nil || time.Since(before.at) > repeatAge:
		m.note(id, &asked{print: print, at: time.Now()})
		return nil, nil
	case before.print != print:
		return nil, errKeyReused
	case !before.done:
		return nil, errInProgress
	}
	if before.answer == nil {
		before.done = false
	}
	return before.answer, nil
}

// note remembers a key and forgets the oldest, if they are many.
func (m *repeats) note(id [sha256.Size]byte, q *asked) {
	if m.known == nil {
		m.known = map[[sha256.Size]byte]*asked{}
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

// end notes how it went. What failed changed nothing and is not remembered.
func (m *repeats) end(id [sha256.Size]byte, a answer, ok, keep bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.known[id]
	switch {
	case q == nil: // so many came meanwhile that it was forgotten
	case !ok:
		q.at, q.done = time.Time{}, true
	default:
		q.done = true
		if keep {
			q.answer = &a
		}
	}
}

// hash is of texts that cannot be confused, whatever is in them.
func hash(parts ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
