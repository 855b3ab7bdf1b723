package seal

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Fault is an error of a sealer. Its text may name hosts and keys that are no customer's business.
type Fault struct {
	err   error
	lasts bool // it will be the same each time
}

func (e *Fault) Error() string { return e.err.Error() }

// Unwrap returns what the sealer returned.
func (e *Fault) Unwrap() error { return e.err }

// fault marks an error of the sealer. That of a [Ring] lasts: its keys do not change.
func (s *Safe[S]) fault(err error) error {
	if err == nil {
		return nil
	}
	_, own := s.Sealer.(Of[S])
	return &Fault{err, own}
}

// errShut is what customers read in the place of a [Fault].
var errShut = errors.New("the sender could not open the secret or the headers of the endpoint; no request was made, and its operator has to mend that")

// A sealer that fails for an endpoint is asked again after firstWait, twice that and so on, and at
// last every lastWait.
const firstWait, lastWait = time.Second, 30 * time.Second

// Delay is for how long a sealer that has failed for an endpoint is not asked again. The zero Delay is
// none.
type Delay struct {
	wait  time.Duration // the longest that this one lasts; 0: none
	until time.Time
}

// IsOver reports whether there was a delay, and the sealer is to be asked.
func (d *Delay) IsOver() bool { return d.wait > 0 && !time.Now().Before(d.until) }

// Left returns how long the delay lasts yet, at least a millisecond; 0 if there is none.
func (d *Delay) Left() time.Duration {
	if d.wait == 0 {
		return 0
	}
	return max(time.Until(d.until), time.Millisecond)
}

// next begins a delay that is longer than the one before.
func (d *Delay) next() {
	d.wait = min(max(2*d.wait, firstWait), lastWait)
	d.until = time.Now().Add(d.wait/2 + rand.N(d.wait/2+1)) // not all endpoints at once
}

// Judge judges the error, or nil, of opening what is an endpoint's, and returns what customers may
// read of it. A [Fault] is logged instead and, unless it lasts, begins a delay.
func (s *Safe[S]) Judge(endpointID string, err error, delay *Delay) error {
	f := (*Fault)(nil)
	if isFault := errors.As(err, &f); isFault && !f.lasts {
		delay.next()
		s.tell("alotwebhook: Config.Sealer fails; deliveries to the endpoint wait until it works, and none is lost", endpointID, err)
		return errShut
	} else if isFault {
		s.tell("alotwebhook: the secret or the headers of an endpoint do not open; its attempts fail", endpointID, err)
		err = errShut
	} else if delay.wait > 0 && err == nil {
		s.Log.Info("alotwebhook: Config.Sealer works again", "endpoint", endpointID)
	}
	*delay = Delay{}
	return err
}

// tell logs a fault, unless very many are.
func (s *Safe[S]) tell(what, endpointID string, err error) {
	if unlogged, ok := s.lines.Allow("fault"); ok {
		s.Log.Error(what, "endpoint", endpointID, "error", err, "unlogged", unlogged)
	}
}
