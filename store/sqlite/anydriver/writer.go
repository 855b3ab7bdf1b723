package anydriver

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// maxGroup is how many calls share one transaction at most.
const maxGroup = 128

// patience is how long the writer waits for a connection and for the write lock,
// which other processes and the host's transactions hold at times.
const patience = 10 * time.Second

// job is the work that one call gives to the writer. Several jobs share a transaction.
type job struct {
	ctx   context.Context
	doing string // for errors
	// run does the work. It may be called twice: every variable that it sets, it must
	// set anew. It may return ErrNotFound and ErrConflict only before it has written
	// anything, since the transaction is then committed all the same.
	run       func(*txn) error
	committed func() // brings the store's memory up to date after the commit; may be nil

	taken atomic.Bool // set by the writer that takes the job, or by the caller that gives it up
	err   error       // valid once done is closed
	done  chan struct{}
}

// write has the writer do a job and waits until it is committed. A caller whose
// context ends leaves only if the writer has not begun with the job: the job may
// read the caller's arguments, which the caller is free to change once it has left.
func (s *Store) write(ctx context.Context, doing string, run func(*txn) error) error {
	return s.submit(&job{ctx: ctx, doing: doing, run: run, done: make(chan struct{})})
}

// submit is write for a job that the caller has made.
func (s *Store) submit(j *job) error {
	if err := s.made(); err != nil {
		return err
	}
	if err := j.ctx.Err(); err != nil {
		return ended(j.ctx)
	}
	select {
	case <-s.quit:
		return errClosed
	default:
	}
	select {
	case s.jobs <- j:
	case <-j.ctx.Done():
		return ended(j.ctx)
	case <-s.quit:
		return errClosed
	}
	select {
	case <-j.done:
	case <-j.ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ended(j.ctx)
		}
		<-j.done
	case <-s.stopped:
		select {
		case <-j.done:
		default:
			return errClosed
		}
	}
	return explain(j.doing, j.err)
}

// writer does jobs until Close. The jobs that wait at one time are a group.
func (s *Store) writer() {
	defer close(s.stopped)
	for {
		select {
		case j := <-s.jobs:
			s.commit(s.gather(j))
		case <-s.quit:
			for { // the jobs that were accepted before Close
				select {
				case j := <-s.jobs:
					s.commit(s.gather(j))
				default:
					return
				}
			}
		}
	}
}

// gather returns a group: the first job and those that wait behind it.
func (s *Store) gather(first *job) []*job {
	group := take(nil, first)
	for len(group) < maxGroup {
		select {
		case j := <-s.jobs:
			group = take(group, j)
		default:
			return group
		}
	}
	return group
}

// take adds a job to the group unless its caller has given it up.
func take(group []*job, j *job) []*job {
	if j.taken.CompareAndSwap(false, true) {
		return append(group, j)
	}
	return group
}

// commit does a group of jobs in one transaction. If one of several fails, all are
// undone, and each is done in a transaction of its own, so that the failing one
// fails alone. Savepoints would spare that, but they cost something each time, and
// hardly any job fails.
func (s *Store) commit(group []*job) {
	if len(group) == 0 {
		return
	}
	if err := s.transact(group); err != nil && len(group) > 1 {
		for _, j := range group {
			j.err = s.transact([]*job{j})
			close(j.done)
		}
	} else {
		for _, j := range group {
			if err != nil {
				j.err = err
			}
			close(j.done)
		}
	}
	s.writing.prepareWanted()
}

// transact does the group's jobs in a transaction and commits it. A job that is
// refused gets its own error, and the others go on. Any other error undoes all of
// them and is returned.
func (s *Store) transact(group []*job) (err error) {
	t, err := s.begin()
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, t.end())
		if err != nil {
			s.writing.catalogue = newCatalogue(0) // the old one may have entries that were undone
		}
	}()
	log, err := t.relabel()
	if err != nil {
		return err
	}
	for _, j := range group {
		t.now = time.Now().UnixMicro()
		if j.err = j.run(t); j.err != nil && !refused(j.err) {
			return j.err
		}
	}
	if err := t.tx.Commit(); err != nil {
		return err
	}
	s.labels.log = log
	s.held.drop(s.held.unordered(t.canceled))
	for _, j := range group {
		if j.err == nil && j.committed != nil {
			j.committed()
		}
	}
	return nil
}

// begin begins a transaction. It waits for a connection, and for the write lock with
// short and irregular pauses. SQLite's own busy timeout pauses for up to 100 ms, and
// hardly ever gets the lock beside a process that writes all the time. So it is turned off
// on a host's connection for as long as the transaction lasts.
func (s *Store) begin() (*txn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := s.writing.db.Conn(ctx)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = sayf("no connection of the handle became free within %v: a transaction of the host's holds them; within it, use Store.Tx", patience)
		}
		return nil, err
	}
	t := &txn{ctx: context.Background(), s: s, in: s.writing, conn: conn}
	if !s.owned {
		if t.theirs, err = borrow(ctx, conn); err != nil {
			return nil, errors.Join(err, t.end())
		}
	}
	if err := patiently(ctx, t.lock); err != nil {
		return nil, errors.Join(err, t.end())
	}
	return t, nil
}

// waiting is [patiently] with the writer's patience.
func waiting(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return patiently(ctx, f)
}

// patiently repeats f while another connection holds the lock, until ctx ends.
func patiently(ctx context.Context, f func() error) error {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		if err := f(); !busy(err) || ctx.Err() != nil {
			return err
		}
		time.Sleep(pause/2 + rand.N(pause)) // SQLite tells nobody that a lock is free; one has to try
	}
}

// lock begins the transaction, with the write lock. The handle of a host may begin
// transactions that take the lock only with the first statement that could write;
// the DELETE is such a statement, and deletes nothing.
func (t *txn) lock() error {
	tx, err := t.conn.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	t.tx, t.on = tx, tx
	if t.s.owned {
		return nil // it began with BEGIN IMMEDIATE
	}
	stmt, err := t.stmt("DELETE FROM alotwebhook_migrations WHERE 0")
	if err == nil {
		_, err = stmt.Exec()
	}
	if err != nil {
		t.stmts = nil
		return errors.Join(err, tx.Rollback())
	}
	return nil
}
