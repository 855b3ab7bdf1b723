package postgres

import (
	"strings"
	"sync"
)

// audience stands for the endpoints that an event is for: those of an organization that subscribe to
// its type.
type audience struct{ organization, eventType string }

// audienceCache remembers the ids of the endpoints of audiences, as they were at the last
// event. It may be wrong: enqueueKnown stores nothing where an endpoint is missing, and leaves
// out those that get no events any more.
type audienceCache struct {
	mu sync.Mutex
	of map[audience][]string
}

const (
	// maxAudiences is how many audiences the cache holds before it is emptied: a few megabytes.
	maxAudiences = 20_000
	// maxAudience is how many endpoints an audience has at most that is remembered. enqueueKnown
	// searches each endpoint among all of them.
	maxAudience = 64
)

func (c *audienceCache) get(of audience) ([]string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	endpoints, ok := c.of[of]
	return endpoints, ok
}

func (c *audienceCache) put(of audience, endpoints []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(endpoints) > maxAudience {
		delete(c.of, of)
		return
	}
	if c.of == nil || len(c.of) >= maxAudiences {
		c.of = map[audience][]string{}
	}
	// The caller's texts may be parts of far larger ones.
	c.of[audience{strings.Clone(of.organization), strings.Clone(of.eventType)}] = endpoints
}
