package dedupe

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// MemoryConfig configures a [Memory]. A nil *MemoryConfig stands for the defaults.
type MemoryConfig struct {
	// MaxKeys is how many events are remembered. Each takes about 300 bytes. If
	// there are more, the event that was handled longest ago is forgotten, and
	// is handled again if it comes again. MaxKeys should therefore be above the
	// number of events that arrive while the sender may still repeat one.
	// Zero or less stands for the default. Defaults to 100,000.
	MaxKeys int

	// Retention is how long a handled event is remembered, up to 100 years. Zero
	// or less stands for the default. Defaults to [DefaultRetention].
	Retention time.Duration
}

const defaultMaxKeys = 100_000

// ErrFull means that [MemoryConfig.MaxKeys] events are being handled at this moment,
// so that there is no room for another. A Receiver responds with 503.
var ErrFull = errors.New("alotwebhook: as many events as MemoryConfig.MaxKeys are being handled")

// Memory is an [alotwebhook.Deduper] in the memory of this process. It forgets
// everything when the process ends and knows nothing of other processes. Use it in
// tests, and in programs where it does no harm if an event is handled twice now and
// then. The zero Memory is empty and has the defaults of [MemoryConfig].
type Memory struct {
	max       int           // 0 stands for the default
	retention time.Duration // 0 stands for the default

	mu     sync.Mutex
	tokens int64
	keys   map[string]*memoryKey // nil until the first claim
	done   list.List             // of *memoryKey, the one handled longest ago first
}

type memoryKey struct {
	key   string
	token int64
	until time.Time     // the end of the lease or, once done, of the retention
	place *list.Element // its element in Memory.done; nil until it is done
}

var _ alotwebhook.Deduper = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory(cfg *MemoryConfig) *Memory {
	m := &Memory{}
	if cfg != nil {
		m.max, m.retention = max(0, cfg.MaxKeys), max(0, cfg.Retention)
	}
	return m
}

// errNilMemory is returned in place of the panic of a nil pointer.
var errNilMemory = errors.New("alotwebhook: the dedupe.Memory is nil; make it with NewMemory")

// Claim implements [alotwebhook.Deduper]. Its error is [ErrFull], that of ctx, or an
// [alotwebhook.FieldError]: the key is none, or the lease is zero or less. A lease of
// more than 100 years counts as 100 years.
func (m *Memory) Claim(ctx context.Context, key string, lease time.Duration) (alotwebhook.DedupeClaim, error) {
	claim := alotwebhook.DedupeClaim{Key: key}
	if m == nil {
		return claim, errNilMemory
	}
	if err := cmp.Or(checkInput(key, lease), ctx.Err()); err != nil {
		return claim, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = map[string]*memoryKey{}
	}
	now := time.Now()
	m.forget(now)
	k := m.keys[key]
	switch {
	case k != nil && k.place != nil:
		claim.State = alotwebhook.DedupeDone
		return claim, nil
	case k != nil && now.Before(k.until):
		claim.State, claim.Wait = alotwebhook.DedupeInProgress, k.until.Sub(now)
		return claim, nil
	case k == nil && !m.makeRoom(now):
		return claim, ErrFull
	}
	m.tokens++
	m.keys[key] = &memoryKey{key: key, token: m.tokens, until: now.Add(min(lease, longest))}
	claim.State, claim.Token = alotwebhook.DedupeClaimed, m.tokens
	return claim, nil
}

// Complete implements [alotwebhook.Deduper].
func (m *Memory) Complete(_ context.Context, c alotwebhook.DedupeClaim) error {
	if m == nil {
		return errNilMemory
	}
	if err := checkClaim(c); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.keys[c.Key]
	if k == nil || k.token != c.Token {
		return lost(c)
	}
	if k.place == nil {
		k.until = time.Now().Add(min(cmp.Or(m.retention, DefaultRetention), longest))
		k.place = m.done.PushBack(k)
	}
	return nil
}

// Release implements [alotwebhook.Deduper].
func (m *Memory) Release(_ context.Context, c alotwebhook.DedupeClaim) error {
	if m == nil {
		return errNilMemory
	}
	if err := checkClaim(c); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.keys[c.Key]
	if k == nil || k.token != c.Token || k.place != nil {
		return lost(c)
	}
	delete(m.keys, c.Key)
	return nil
}

// forget drops the events that were handled longer ago than the retention.
func (m *Memory) forget(now time.Time) {
	for oldest := m.done.Front(); oldest != nil; oldest = m.done.Front() {
		if now.Before(oldest.Value.(*memoryKey).until) {
			return
		}
		m.drop(oldest)
	}
}

// drop forgets the event of an element of done.
func (m *Memory) drop(e *list.Element) {
	m.done.Remove(e)
	delete(m.keys, e.Value.(*memoryKey).key)
}

// makeRoom reports whether there is room for one more key. If need be, it drops the
// event that was handled longest ago, or else the claims whose lease has run out. It
// never drops an event that is being handled.
func (m *Memory) makeRoom(now time.Time) bool {
	most := cmp.Or(m.max, defaultMaxKeys)
	if len(m.keys) < most {
		return true
	}
	if oldest := m.done.Front(); oldest != nil {
		m.drop(oldest)
		return true
	}
	for key, k := range m.keys { // all of them are claims, and none is done
		if !now.Before(k.until) {
			delete(m.keys, key)
		}
	}
	return len(m.keys) < most
}
