// Package schedule makes the waits between the attempts of a delivery, by any backoff.BackOff
// or by a list of waits.
package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/fault"
)

const (
	// insteadOfNone stands for a wait of 0 or less, so that no policy has a customer who fails asked without end.
	insteadOfNone = time.Second
	// longest is the longest wait, so that no sum with it overflows.
	longest = 365 * 24 * time.Hour
)

// Of returns a policy of these waits, each ± 20 % at random.
func Of(waits ...time.Duration) func() backoff.BackOff {
	waits = slices.Clone(waits)
	return func() backoff.BackOff { return &schedule{waits: waits} }
}

// schedule is the BackOff of [Of].
type schedule struct {
	waits []time.Duration
	used  int // how many waits NextBackOff has returned
}

func (s *schedule) Reset() { s.used = 0 }

func (s *schedule) NextBackOff() time.Duration {
	if s.used >= len(s.waits) {
		return backoff.Stop
	}
	wait := s.waits[s.used]
	s.used++
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
}

// Problem says why a policy cannot be meant, and what to do; "" if it can.
func Problem(host *caught.Host, policy func() backoff.BackOff) string {
	var b backoff.BackOff
	switch err := host.Call("Config.Retry", func() error { b = policy(); return nil }); {
	case err != nil:
		return "panics, and the log has the stack; return a BackOff"
	case fault.IsNil(b):
		return "returns nil instead of a BackOff; return one whose NextBackOff is backoff.Stop for a single attempt"
	}
	s, ok := b.(*schedule)
	if !ok {
		return problemOfFirst(b)
	}
	for i, wait := range s.waits {
		if wait > longest {
			return fmt.Sprintf("has a wait of %v before attempt %d; give at most %v", wait, i+2, longest)
		}
		if wait > 0 {
			continue
		}
		if i == 0 && wait == 0 && len(s.waits) > 1 {
			return "begins with a wait of 0; the first attempt is made at once and has no wait: write " + spell(s.waits[1:])
		}
		return fmt.Sprintf("has a wait of %v before attempt %d; give a wait of more than 0", wait, i+2)
	}
	return ""
}

// problemOfFirst says why the first wait of a host's own policy cannot be meant; "" if it can.
func problemOfFirst(b backoff.BackOff) (problem string) {
	_ = caught.Call("Config.Retry", func() error { // after a panic, Wait knows what to do
		b.Reset()
		if d := b.NextBackOff(); d <= 0 && d != backoff.Stop {
			problem = fmt.Sprintf("has a wait of %v before attempt 2; give a wait of more than 0, or backoff.Stop for a single attempt", d)
		}
		return nil
	})
	return problem
}

// spell writes the call that makes these waits.
func spell(waits []time.Duration) string {
	texts := make([]string, len(waits))
	for i, wait := range waits {
		texts[i] = wait.String()
	}
	return "Schedule(" + strings.Join(texts, ", ") + ")"
}

// Wait returns how long to wait after the try-th failed attempt; ok is false when there is no
// further one. The host calls the policy. If that panics, the wait is the one of instead.
func Wait(host *caught.Host, policy, instead func() backoff.BackOff, try int) (d time.Duration, ok bool) {
	err := host.Apart("Config.Retry", func() error { d, ok = wait(policy, try); return nil })
	if err != nil {
		return wait(instead, try)
	}
	return d, ok
}

func wait(policy func() backoff.BackOff, try int) (d time.Duration, ok bool) {
	b := policy()
	if b == nil {
		return 0, false
	}
	b.Reset()
	for range try {
		if d = b.NextBackOff(); d == backoff.Stop {
			return 0, false
		}
	}
	if d <= 0 {
		d = insteadOfNone
	}
	return min(d, longest), true
}
