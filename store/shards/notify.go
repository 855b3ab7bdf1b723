package shards

import (
	"context"

	"github.com/alot/alotwebhook/internal/pace"
)

// Notify implements [alotwebhook.Notifier] for the shards that do.
func (s *Store) Notify() {
	for _, sh := range s.shards {
		if sh.notifier != nil {
			sh.notifier.Notify()
		}
	}
}

// Listen implements [alotwebhook.Notifier]. It listens to all shards that notify, to each by
// itself, and also calls heard when a shard has answered a claim that was not waited for.
func (s *Store) Listen(ctx context.Context, heard func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	word := make(chan struct{}, 1)
	s.mu.Lock()
	s.listeners[word] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, word)
	}()
	for _, sh := range s.shards {
		if sh.notifier != nil {
			go sh.listen(ctx, word)
		}
	}
	for heard(); ; heard() {
		select {
		case <-word:
		case <-ctx.Done():
			return nil
		}
	}
}

// listen passes on what a shard notifies of, until ctx is done. After an error it begins
// again, and says nothing: a dispatcher polls as well.
func (sh *shard) listen(ctx context.Context, word chan<- struct{}) {
	episode := pace.Episode{Log: sh.log, Operation: "listen"}
	heard := func() {
		episode.Over()
		pace.Wake(word)
	}
	for ctx.Err() == nil {
		if err := sh.notifier.Listen(ctx, heard); ctx.Err() == nil {
			pace.Pause(ctx, episode.Failed(sh.explain(err)))
		}
	}
}
