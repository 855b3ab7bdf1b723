package wire

import (
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/chain"
)

// idleConns holds the connections that wait for a request.
type idleConns struct {
	most    int
	timeout time.Duration

	mu     sync.Mutex
	byHost map[host][]*idleConn  // the newest last
	byAge  chain.List[*idleConn] // idle for longest first
	sweep  *time.Timer           // runs while there are any
}

// idleConn is a connection's place among those that are idle. It is made once.
type idleConn struct {
	*conn
	since time.Time
	node  chain.Node[*idleConn] // in byAge
}

func newIdleConn(c *conn) *idleConn {
	i := &idleConn{conn: c}
	i.node.Value = i
	return i
}

func newIdleConns(most int, timeout time.Duration) idleConns {
	return idleConns{most: most, timeout: timeout, byHost: map[host][]*idleConn{}}
}

// take returns a connection to a host, or nil. It passes over those that the server has
// ended or sent something on.
func (l *idleConns) take(h host, maxAge time.Duration) *conn {
	for {
		c := l.pop(h)
		if c == nil {
			return nil
		}
		if time.Since(c.born) < maxAge && c.quiet.is() {
			return c
		}
		_ = c.Close()
	}
}

func (l *idleConns) pop(h host) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.byHost[h]
	if len(of) == 0 {
		return nil
	}
	last := of[len(of)-1]
	l.remove(last)
	return last.conn
}

// put keeps a connection, unless it is too old.
func (l *idleConns) put(c *conn, maxAge time.Duration) {
	if l.most <= 0 || time.Since(c.born) >= maxAge {
		_ = c.Close()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAge.Len() >= l.most {
		oldest := l.byAge.Front().Value
		l.remove(oldest)
		_ = oldest.Close()
	}
	i := c.idle
	i.since = time.Now()
	l.byAge.PushBack(&i.node)
	l.byHost[c.host] = append(l.byHost[c.host], i)
	if l.sweep == nil {
		l.sweep = time.AfterFunc(l.timeout, l.closeExpired)
	}
}

// remove takes a connection out; the caller holds mu.
func (l *idleConns) remove(i *idleConn) {
	l.byAge.Remove(&i.node)
	of := l.byHost[i.host]
	for at := len(of) - 1; at >= 0; at-- { // the newest are asked for most
		if of[at] == i {
			of = append(of[:at], of[at+1:]...)
			break
		}
	}
	if len(of) == 0 {
		delete(l.byHost, i.host)
		return
	}
	l.byHost[i.host] = of
}

// closeExpired closes what was idle for the time-out, and looks again while others are.
func (l *idleConns) closeExpired() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.byAge.Len() > 0 {
		oldest := l.byAge.Front().Value
		if left := l.timeout - time.Since(oldest.since); left > 0 {
			l.sweep.Reset(left)
			return
		}
		l.remove(oldest)
		_ = oldest.Close()
	}
	l.sweep = nil
}

func (l *idleConns) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.byAge.Len() > 0 {
		oldest := l.byAge.Front().Value
		l.remove(oldest)
		_ = oldest.Close()
	}
	if l.sweep != nil {
		l.sweep.Stop()
		l.sweep = nil
	}
}
