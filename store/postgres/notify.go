package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// notifyEvery is the least time between two words of a process: a NOTIFY
// takes a lock of the whole server for its commit, so that one for each emit
// would cost more than half of what can be emitted.
const notifyEvery = 100 * time.Millisecond

// notifyTimeout bounds the sending of a word.
const notifyTimeout = 5 * time.Second

var _ alotwebhook.Notifier = (*Store)(nil)

// words puts calls of Notify together.
type words struct {
	mu   sync.Mutex
	sent time.Time // when the last word was sent
	// due: a word will be sent. again: and another after that one.
	due, again bool
}

// Notify implements [alotwebhook.Notifier]: a word now, or a tenth of a second
// after the last one, and one more after it, for a transaction that has not
// committed yet. Without [Options.Notify] it does nothing.
func (s *Store) Notify() {
	if !s.notifies {
		return
	}
	s.words.mu.Lock()
	defer s.words.mu.Unlock()
	s.words.again = true
	s.scheduleWord()
}

// scheduleWord has the next word sent in its time. The caller holds the lock.
func (s *Store) scheduleWord() {
	if s.words.due {
		return
	}
	s.words.due = true
	time.AfterFunc(max(0, notifyEvery-time.Since(s.words.sent)), s.sendWord)
}

func (s *Store) sendWord() {
	s.words.mu.Lock()
	s.words.sent = time.Now()
	s.words.due = false
	if s.words.again {
		s.words.again = false
		s.scheduleWord()
	}
	s.words.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, "SELECT pg_notify($1::text, '')", s.channel()); err != nil {
		s.logger.Debug("alotwebhook: no word sent to other processes; they poll", "error", err)
	}
}

func (s *Store) channel() string { return "alotwebhook." + s.schema }

// Listen implements [alotwebhook.Notifier] on a connection of its own beside
// the pool's. Without [Options.Notify] it only waits for the end of ctx.
func (s *Store) Listen(ctx context.Context, heard func()) error {
	if !s.notifies {
		<-ctx.Done()
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return s.explain("listen", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // it may be broken
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return s.explain("listen", err)
	}
	for heard(); ; heard() { // once at first, for what was said before
		if _, err := conn.WaitForNotification(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return s.explain("listen", err)
		}
	}
}
