package settings

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/caught"
)

// survey is what operators see of all organizations at one moment.
type survey struct {
	At    time.Time // when it was read
	Stats alotwebhook.Stats
	// Slowest is the recovery under way that went on longest ago; its EndpointID is "" if there is none.
	Slowest alotwebhook.Recovery
	// Complete is false if the store shows no survey: it is no [alotwebhook.Surveyor]. Then the
	// fields from here on are empty.
	Complete  bool
	Backlogs  []alotwebhook.Backlog // the largest, up to surveyBacklogs, largest first
	Totals    []alotwebhook.Tally   // by the hour, of 24 hours
	Processes []alotwebhook.Process
}

const (
	// surveyInterval is how much time passes between two readings at least.
	surveyInterval = 5 * time.Second
	// surveyStale is how old a survey is shown while a newer one is read.
	surveyStale = time.Minute
	// surveyPatience is how long a request waits for a newer survey if there is one to show.
	surveyPatience = 50 * time.Millisecond
	// surveyTimeout is how long a reading may take.
	surveyTimeout = 30 * time.Second
	// surveyBacklogs is how many organizations a survey has backlogs of.
	surveyBacklogs = 20
)

// surveys reads surveys, one at a time and at most every surveyInterval, however many requests
// ask for one.
type surveys struct {
	dispatcher *alotwebhook.Dispatcher

	mu      sync.Mutex
	newest  survey // At is zero before the first
	err     error  // of the newest reading; newest is from before, then
	tried   time.Time
	reading chan struct{} // closed at the end of the reading; nil while there is none
}

// read returns the newest survey. While a newer one is read, it waits for that one only if there
// is none that may be shown.
func (s *surveys) read(ctx context.Context) (survey, error) {
	done, old := s.begin()
	if done != nil {
		patience := ctx
		if !old.At.IsZero() && time.Since(old.At) < surveyStale {
			var cancel context.CancelFunc
			patience, cancel = context.WithTimeout(ctx, surveyPatience)
			defer cancel()
		}
		select {
		case <-done:
		case <-patience.Done():
			return old, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest, s.err
}

// begin begins a reading if one is due. It returns what is closed at its end, nil if none is under
// way, and the newest survey so far.
func (s *surveys) begin() (done <-chan struct{}, newest survey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading == nil && (s.tried.IsZero() || time.Since(s.tried) >= surveyInterval) {
		s.reading = make(chan struct{})
		go s.renew(s.reading)
	}
	if s.reading == nil {
		return nil, s.newest
	}
	return s.reading, s.newest
}

// renew reads a survey. It does not depend on the request that began it, because others wait for
// it as well.
func (s *surveys) renew(done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(context.Background(), surveyTimeout)
	defer cancel()
	var found survey
	err := caught.Call("store", func() (err error) {
		found, err = look(ctx, s.dispatcher)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading, s.tried, s.err = nil, time.Now(), err
	if err == nil {
		s.newest = found
	}
}

// look reads a survey.
func look(ctx context.Context, d *alotwebhook.Dispatcher) (survey, error) {
	found := survey{At: time.Now()}
	var err error
	if found.Stats, err = d.Stats(ctx); err != nil {
		return survey{}, err
	}
	if found.Slowest, err = slowest(ctx, d); err != nil {
		return survey{}, err
	}
	store, err := d.Surveyor()
	if errors.Is(err, errors.ErrUnsupported) {
		return found, nil
	}
	if err != nil {
		return survey{}, err
	}
	found.Complete = true
	if found.Backlogs, err = store.Backlogs(ctx, surveyBacklogs); err != nil {
		return survey{}, err
	}
	since := found.At.UTC().Truncate(time.Hour).Add(-(chartHours - 1) * time.Hour)
	if found.Totals, err = store.Totals(ctx, since); err != nil {
		return survey{}, err
	}
	found.Processes, err = store.Processes(ctx)
	return found, err
}
