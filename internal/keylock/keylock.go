// Package keylock locks by key, so that what is done for one key is done one after the
// other, and what is done for different keys at once.
package keylock

import (
	"context"
	"sync"
)

// Locks holds a lock for each key that is locked or waited for, and nothing for any
// other. The zero value is ready. It is safe for concurrent use.
type Locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

// lock is the lock of one key.
type lock struct {
	free  chan struct{} // holds a value while nobody has the lock
	users int           // how many have the lock or wait for it
}

// Lock waits until nobody else has the lock of the key, and returns the function that
// unlocks it. The error is that of ctx if it is done first.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	k := l.join(key)
	select {
	case <-k.free:
		return func() {
			k.free <- struct{}{}
			l.leave(key, k)
		}, nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, ctx.Err()
	}
}

func (l *Locks) join(key string) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.held[key]
	if k == nil {
		k = &lock{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		if l.held == nil {
			l.held = map[string]*lock{}
		}
		l.held[key] = k
	}
	k.users++
	return k
}

func (l *Locks) leave(key string, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, key)
	}
}

// Len returns how many keys have a lock.
func (l *Locks) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}
