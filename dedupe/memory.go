package dedupe

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// MemoryConfig says how much a [Memory] remembers; nil works.
type MemoryConfig struct {
	// MaxKeys is how many events are remembered; the ones handled longest ago
	// are forgotten first. Each costs about 300 bytes. More events than this
	// within the sender's retries, and one that comes again is handled again.
	// Zero or less: default. Defaults to 100,000.
	MaxKeys int

	// Retention is how long a handled event is remembered.
	// Zero or less: default. Defaults to [DefaultRetention].
	Retention time.Duration
}

const defaultMaxKeys = 100_000

// ErrFull: as many events as MaxKeys are being handled at this moment.
var ErrFull = errors.New("alotwebhook: as many events as MemoryConfig.MaxKeys are being handled")

// Memory is an [alotwebhook.Deduper] in this process's memory. It forgets
// everything when the process ends, and knows nothing of other processes: for
// tests, and where handling an event twice now and then does no harm.
type Memory struct {
	max       int
	retention time.Duration

	mu     sync.Mutex
	tokens int64
	keys   map[string]*memoryKey
	done   list.List // of *memoryKey, the one handled longest ago first
}

type memoryKey struct {
	key   string
	token int64
	until time.Time     // the end of the lease, or of the memory
	place *list.Element // in done, once it is
}

var _ alotwebhook.Deduper = (*Memory)(nil)

// NewMemory returns an empty one.
func NewMemory(cfg *MemoryConfig) *Memory {
	m := &Memory{max: defaultMaxKeys, retention: DefaultRetention, keys: map[string]*memoryKey{}}
	if cfg != nil && cfg.MaxKeys > 0 {
		m.max = cfg.MaxKeys
	}
	if cfg != nil && cfg.Retention > 0 {
		m.retention = cfg.Retention
	}
	return m
}

// Claim implements [alotwebhook.Deduper]. Its error is [ErrFull], or ctx's.
func (m *Memory) Claim(ctx context.Context, key string, lease time.Duration) (alotwebhook.DedupeClaim, error) {
	claim := alotwebhook.DedupeClaim{Key: key}
	if err := ctx.Err(); err != nil {
		return claim, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
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
	m.keys[key] = &memoryKey{key: key, token: m.tokens, until: now.Add(lease)}
	claim.State, claim.Token = alotwebhook.DedupeClaimed, m.tokens
	return claim, nil
}

// Complete implements [alotwebhook.Deduper].
func (m *Memory) Complete(_ context.Context, c alotwebhook.DedupeClaim) error {
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
		k.until = time.Now().Add(m.retention)
		k.place = m.done.PushBack(k)
	}
	return nil
}

// Release implements [alotwebhook.Deduper].
func (m *Memory) Release(_ context.Context, c alotwebhook.DedupeClaim) error {
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

// forget drops what was handled longer ago than the retention.
func (m *Memory) forget(now time.Time) {
	for oldest := m.done.Front(); oldest != nil; oldest = m.done.Front() {
		if now.Before(oldest.Value.(*memoryKey).until) {
			return
		}
		m.drop(oldest)
	}
}

func (m *Memory) drop(e *list.Element) {
	m.done.Remove(e)
	delete(m.keys, e.Value.(*memoryKey).key)
}

// makeRoom for one more key; what is being handled is never dropped.
func (m *Memory) makeRoom(now time.Time) bool {
	if len(m.keys) < m.max {
		return true
	}
	if oldest := m.done.Front(); oldest != nil {
		m.drop(oldest)
		return true
	}
	for key, k := range m.keys { // claims that nobody settled
		if !now.Before(k.until) {
			delete(m.keys, key)
		}
	}
	return len(m.keys) < m.max
}
