package egress

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// silence is how long an address that did not answer comes after the others of its name.
	silence = 5 * time.Minute
	// maxSilent bounds how many are remembered.
	maxSilent = 1024
)

// silent remembers addresses that did not answer, or later than another of the same name. Each fresh
// connection would wait for them again.
type silent struct {
	mu    sync.Mutex
	since map[netip.AddrPort]time.Time
}

// last returns the addresses with the silent ones behind the others.
func (s *silent) last(addrs []netip.AddrPort) []netip.AddrPort {
	if len(addrs) < 2 {
		return addrs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var first, last []netip.AddrPort
	for _, addr := range addrs {
		if since, ok := s.since[addr]; ok && time.Since(since) < silence {
			last = append(last, addr)
		} else {
			first = append(first, addr)
		}
	}
	return append(first, last...)
}

// note remembers addresses that another one was faster than.
func (s *silent) note(slow []netip.AddrPort, fast netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, fast)
	if len(slow) == 0 {
		return
	}
	if s.since == nil || len(s.since)+len(slow) > maxSilent {
		s.since = map[netip.AddrPort]time.Time{}
	}
	for _, addr := range slow {
		s.since[addr] = time.Now()
	}
}
