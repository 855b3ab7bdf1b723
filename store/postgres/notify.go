package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// A NOTIFY holds a lock of the whole server while it commits: one for each emit would more than
// halve the emits per second. So a process sends one every notifyEvery on average, and after a
// silence notifyBurst of them at once.
const (
	notifyEvery = 50 * time.Millisecond
	notifyBurst = 4
)

// notifyAgain is how long after a notification a second one follows: an emit in a transaction
// may not be committed yet when the first one arrives.
const notifyAgain = 100 * time.Millisecond

// notifyTimeout is how long the sending of one notification may take.
const notifyTimeout = 5 * time.Second

// warnEvery is the least time between two warnings that no notification can be sent.
const warnEvery = 10 * time.Minute

// closeTimeout is how long the closing of a connection may take.
const closeTimeout = time.Second

// listenSilence is how long a process that listens hears nothing before it has a
// notification sent to itself. If it does not hear that one within the same time either,
// its connection leads nowhere, or to another server than the pool's.
const listenSilence = 30 * time.Second

var _ alotwebhook.Notifier = (*Store)(nil)

// notifications makes few notifications of many calls of Notify.
type notifications struct {
	mu    sync.Mutex
	spent time.Time   // until then, what was sent counts against what may be sent at once
	timer *time.Timer // sends the next one; nil if none is to be sent
	at    time.Time   // when that will be
	again bool        // a second one has to follow it

	silent time.Time // until then, there is no further warning that none can be sent
}

// Notify implements [alotwebhook.Notifier]. It has a notification sent at once, if not many were
// sent just before, and a second one 100 ms later. Without [Options.Notify] it does nothing.
func (s *Store) Notify() {
	if !s.notifies {
		return
	}
	s.notifications.mu.Lock()
	defer s.notifications.mu.Unlock()
	s.notifications.again = true
	s.scheduleNotification(0)
}

// scheduleNotification has the next notification sent after that time, or as soon as one more may
// be sent. The caller holds the lock.
func (s *Store) scheduleNotification(after time.Duration) {
	n, now := &s.notifications, time.Now()
	wait := max(after, n.spent.Add(-(notifyBurst-1)*notifyEvery).Sub(now))
	at := now.Add(wait)
	if n.timer != nil {
		if !at.Before(n.at) {
			return
		}
		n.timer.Stop() // if it has fired already, one is sent too many
	}
	n.timer, n.at = time.AfterFunc(wait, s.sendNotification), at
}

// sendNotification sends one, and schedules the one that has to follow it. An error
// is logged only: the other processes poll.
func (s *Store) sendNotification() {
	s.notifications.mu.Lock()
	s.notifications.sending()
	if s.notifications.again {
		s.notifications.again = false
		s.scheduleNotification(notifyAgain)
	}
	s.notifications.mu.Unlock()
	if err := s.notify(context.Background()); err != nil {
		s.logUnsent("alotwebhook: postgres: other processes were not notified of an emit; they poll", err)
	}
}

// logUnsent logs why a notification was not sent. What does not pass by itself is a warning, which comes
// once in warnEvery.
func (s *Store) logUnsent(what string, err error) {
	level := slog.LevelDebug
	if lasting(err) && s.notifications.mayWarn() {
		level = slog.LevelWarn
	}
	s.logger.Log(context.Background(), level, what, "error", err)
}

func (n *notifications) mayWarn() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if now.Before(n.silent) {
		return false
	}
	n.silent = now.Add(warnEvery)
	return true
}

// lasting reports whether the server has refused a statement for a reason that stays until somebody does
// something about it. A lost connection, a lack of resources, a lock, a restart or a failure of the system
// is none.
func lasting(err error) bool {
	state := sqlState(err)
	if len(state) < 2 {
		return false
	}
	switch state[:2] {
	case "08", "40", "53", "55", "57", "58":
		return false
	}
	return true
}

// sending notes that a notification is sent. The caller holds the lock.
func (n *notifications) sending() {
	n.timer = nil
	if now := time.Now(); n.spent.Before(now) {
		n.spent = now
	}
	n.spent = n.spent.Add(notifyEvery)
}

// notify sends one notification over a connection of the pool.
func (s *Store) notify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	return s.within(ctx, func(conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, "SELECT pg_notify($1::text, '')", s.channel())
		return notBegun(err)
	})
}

// Listen implements [alotwebhook.Notifier]. It opens a connection of its own, in the same way as
// the pool, since it would keep one of the pool's for ever. Without [Options.Notify] it only waits
// until ctx is done.
func (s *Store) Listen(ctx context.Context, heard func()) error {
	if !s.notifies {
		<-ctx.Done()
		return nil
	}
	conn, err := s.connect(ctx, nil)
	if err != nil {
		return s.explain("listen", err)
	}
	defer closeSoon(conn)
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return s.explain("listen", err)
	}
	for heard(); ; heard() { // once at first, for emits from before it listened
		if err := s.awaitWord(ctx, conn); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return s.explain("listen", err)
		}
	}
}

// awaitWord waits for a notification, and after a silence for one of its own. A connection
// that was lost without a sign, or that leads to a server that was replaced, would be silent
// for ever.
func (s *Store) awaitWord(ctx context.Context, conn *pgx.Conn) error {
	for {
		heard, err := hears(ctx, conn, s.silence)
		if heard || err != nil {
			return err
		}
		if err := s.notify(ctx); err != nil { // says nothing about the connection that listens
			s.logUnsent("alotwebhook: postgres: the connection that listens was not checked", err)
			continue
		}
		if heard, err = hears(ctx, conn, s.silence); !heard && err == nil {
			err = errors.New("the connection is silent, even when the pool sends a notification; another one takes its place")
		}
		return err
	}
}

// hears waits for a notification for at most d. Time that runs out is no error, and leaves
// the connection as it is.
func hears(ctx context.Context, conn *pgx.Conn, d time.Duration) (heard bool, err error) {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err = conn.WaitForNotification(wait)
	if err != nil && wait.Err() != nil && ctx.Err() == nil && !conn.IsClosed() {
		return false, nil
	}
	return err == nil, err
}
