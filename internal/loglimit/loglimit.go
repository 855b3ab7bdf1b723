// Package loglimit bounds how many log lines somebody else can cause.
package loglimit

import (
	"strings"
	"sync"
	"time"
)

// Lines is how many lines of a kind a [Limiter] allows in each Period.
const (
	Lines  = 10
	Period = time.Minute
)

// Limiter allows a number of lines of each kind in a time. Its zero value is ready. It
// remembers every kind, so the kinds must be few. It may be used by many goroutines.
type Limiter struct {
	mu    sync.Mutex
	kinds map[string]*period
}

type period struct {
	end                time.Time
	allowed, forbidden int
}

// Allow reports whether one more line of a kind may be written. With the first line of
// a period, forbidden is how many the limiter has not allowed since the last one.
func (l *Limiter) Allow(kind string) (forbidden int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[string]*period{}
	}
	p, now := l.kinds[kind], time.Now()
	if p == nil {
		p = &period{}
		l.kinds[kind] = p
	}
	if !now.Before(p.end) {
		forbidden = p.forbidden
		*p = period{end: now.Add(Period)}
	}
	if p.allowed == Lines {
		p.forbidden++
		return 0, false
	}
	p.allowed++
	return forbidden, true
}

// Most is how many texts a [Set] remembers.
const Most = 64

// Set remembers texts, each of which is logged once. Its zero value is ready. It may be
// used by many goroutines.
type Set struct {
	mu    sync.Mutex
	texts map[string]struct{}
}

// Add remembers a text and returns how many are remembered now. It returns zero if the
// text is remembered already or there is no room for it.
func (s *Set) Add(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.texts[text]; known || len(s.texts) >= Most {
		return 0
	}
	if s.texts == nil {
		s.texts = map[string]struct{}{}
	}
	s.texts[strings.Clone(text)] = struct{}{} // the text may be a part of something large
	return len(s.texts)
}
