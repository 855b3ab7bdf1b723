// Package repeats remembers requests that came with a key, so that the same request again
// does its work once.
package repeats

import (
	"container/heap"
	"container/list"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// Bounds of a Memory. Past MaxKeys, an organization's oldest key goes. Past MaxAll, the
// oldest key goes of the organization that has the most, so that nobody loses one to an
// organization that has more.
const (
	MaxKeys = 1000 // of an organization
	MaxAll  = 10_000
	MaxAge  = 24 * time.Hour
)

// The refusals of Begin.
var (
	ErrReused     = errors.New("the key came before with another request")
	ErrInProgress = errors.New("the first request with the key is still being processed")
)

// Hash identifies a key or a request.
type Hash = [sha256.Size]byte

// Memory remembers requests. Of what they did, it remembers [Request.Made] alone. The zero value is ready.
// It is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	of    map[string]*keyring // by organization; none is empty
	sizes sizes               // the same keyrings
	all   int                 // keys of all organizations
}

// keyring holds the keys of an organization.
type keyring struct {
	organization string
	known        map[Hash]*Request // by key
	order        list.List         // of *Request, oldest first
	place        int               // in Memory.sizes
}

// Request is a request that came with a key.
type Request struct {
	// Made is the id of what the request made, if a request that repeats it cannot know that. It is
	// set before End, and read after a Begin that says done.
	Made string

	organization string
	key, print   Hash
	at           time.Time
	done         bool
	place        *list.Element // in keyring.order
}

// Begin notes that a request is being processed; End must follow. done says that the same
// request came before and was processed. print identifies the request: the error is
// ErrReused if the key came with another one, and ErrInProgress if the first request is
// not done.
func (m *Memory) Begin(organization string, key, print Hash) (r *Request, done bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(organization)
	var before *Request
	if ring := m.of[organization]; ring != nil {
		before = ring.known[key]
	}
	switch {
	case before == nil:
		r = &Request{organization: organization, key: key, print: print, at: time.Now()}
		m.note(r)
		return r, false, nil
	case before.print != print:
		return nil, false, ErrReused
	case !before.done:
		return nil, false, ErrInProgress
	}
	return before, true, nil
}

// End notes that a request was processed. One that failed changed nothing, so it is
// forgotten, and its key is free for any other request.
func (m *Memory) End(r *Request, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ring := m.of[r.organization]
	switch {
	case ring == nil || ring.known[r.key] != r: // forgotten already, because many others came
	case ok:
		r.done = true
	default:
		m.forget(r)
	}
}

// Len returns how many requests are remembered.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all
}

// note remembers a request, and forgets another if there are too many.
func (m *Memory) note(r *Request) {
	ring := m.of[r.organization]
	if ring == nil {
		ring = &keyring{organization: r.organization, known: map[Hash]*Request{}}
		if m.of == nil {
			m.of = map[string]*keyring{}
		}
		m.of[r.organization] = ring
		heap.Push(&m.sizes, ring)
	}
	ring.known[r.key] = r
	r.place = ring.order.PushBack(r)
	m.all++
	heap.Fix(&m.sizes, ring.place)
	if ring.order.Len() > MaxKeys {
		m.forget(ring.oldest())
	}
	if m.all > MaxAll {
		m.forget(m.sizes[0].oldest())
	}
}

func (k *keyring) oldest() *Request { return k.order.Front().Value.(*Request) }

// expire forgets the keys of an organization that came too long ago.
func (m *Memory) expire(organization string) {
	for {
		ring := m.of[organization]
		if ring == nil || time.Since(ring.oldest().at) <= MaxAge {
			return
		}
		m.forget(ring.oldest())
	}
}

func (m *Memory) forget(r *Request) {
	ring := m.of[r.organization]
	delete(ring.known, r.key)
	ring.order.Remove(r.place)
	m.all--
	if ring.order.Len() > 0 {
		heap.Fix(&m.sizes, ring.place)
		return
	}
	delete(m.of, r.organization)
	heap.Remove(&m.sizes, ring.place)
}

// sizes is a heap of keyrings, the largest first.
type sizes []*keyring

func (s sizes) Len() int           { return len(s) }
func (s sizes) Less(i, j int) bool { return s[i].order.Len() > s[j].order.Len() }
func (s sizes) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

func (s *sizes) Push(x any) {
	ring := x.(*keyring)
	ring.place = len(*s)
	*s = append(*s, ring)
}

func (s *sizes) Pop() any {
	last := len(*s) - 1
	ring := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return ring
}
