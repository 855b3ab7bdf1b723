package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook/store/sqltx"
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

// txn is a transaction: the writer's, a reader's, or one of the host's; or it is a claim,
// which reads without a transaction.
type txn struct {
	ctx    context.Context
	caller context.Context // nil but in a host's transaction that has the write lock: see outlive
	s      *Store          // nil but for the writer's
	in     *session        // of the writer or of claims, otherwise nil
	on     sqltx.Tx        // executes the statements
	tx     *sql.Tx         // the same; nil in a claim and in a host's transaction, which may be no *sql.Tx
	conn   *sql.Conn       // nil but for the writer's
	theirs *borrowing      // nil but for the writer's on a host's handle
	now    int64           // the store's clock at the beginning of the job, in microseconds

	prepared  map[string]*sql.Stmt // in a host's transaction, what can be used there
	stmts     map[string]*sql.Stmt
	catalogue *catalogue // as of this transaction; nil until asked for
	owner     *bool      // whether the store is an owner still; nil until asked for
	canceled  []key      // the deliveries that were canceled
}

// end rolls the transaction back unless it was committed, and gives back its
// connection as it was.
func (t *txn) end() (err error) {
	if t.tx != nil {
		if err = t.tx.Rollback(); errors.Is(err, sql.ErrTxDone) {
			err = nil
		}
	}
	if t.theirs != nil {
		t.theirs.giveBack(t.conn)
	}
	return errors.Join(err, t.conn.Close())
}

// session belongs to the writer, or to claims, from one transaction to the next.
// One goroutine at a time uses it.
type session struct {
	db        *sql.DB
	prepared  map[string]*sql.Stmt
	catalogue *catalogue
	// dataVersion is SQLite's, of the writer's last transaction. Only a handle of one
	// connection, which nobody else uses, has it.
	dataVersion int64
}

func newSession(db *sql.DB) *session {
	return &session{db: db, prepared: map[string]*sql.Stmt{}, catalogue: newCatalogue(0)}
}

func (n *session) close() (err error) {
	for _, stmt := range n.prepared {
		if stmt != nil {
			err = errors.Join(err, stmt.Close())
		}
	}
	return err
}

// stmt returns a prepared statement. In a transaction, a new one is prepared for this
// transaction alone, on its connection: a handle that has no other connection could not
// prepare it for good meanwhile. The writer does so after the transaction.
func (t *txn) stmt(query string) (*sql.Stmt, error) {
	if stmt := t.stmts[query]; stmt != nil {
		return stmt, nil
	}
	var stmt *sql.Stmt
	var err error
	switch {
	case t.tx == nil:
		return t.in.stmt(t.ctx, query)
	case t.in != nil && t.in.prepared[query] != nil:
		stmt = t.tx.StmtContext(t.ctx, t.in.prepared[query])
	default:
		if stmt, err = t.tx.PrepareContext(t.ctx, query); err != nil {
			return nil, err
		}
		if t.in != nil {
			t.in.prepared[query] = nil // prepareWanted will prepare it
		}
	}
	if t.stmts == nil {
		t.stmts = map[string]*sql.Stmt{}
	}
	t.stmts[query] = stmt
	return stmt, nil
}

// stmt prepares a statement for good, for whichever connection is free.
func (n *session) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := n.prepared[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := n.db.PrepareContext(ctx, query)
	if err == nil {
		n.prepared[query] = stmt
	}
	return stmt, err
}

// prepareWanted prepares the statements for good that the last transaction was the
// first to use.
func (n *session) prepareWanted() {
	for query, stmt := range n.prepared {
		if stmt != nil {
			continue
		}
		delete(n.prepared, query)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, _ = n.stmt(ctx, query) // after an error the next transaction tries again
		cancel()
	}
}

// exec executes a statement.
func (t *txn) exec(query string, args ...any) error {
	_, err := t.affected(query, args...)
	return err
}

// affected executes a statement and returns how many rows it changed.
func (t *txn) affected(query string, args ...any) (int64, error) {
	if err := t.stopped(); err != nil {
		return 0, err
	}
	if stmt := t.preparedForHost(query); stmt != nil {
		result, err := stmt.ExecContext(t.ctx, args...)
		if !t.ofAnotherHandle(err) {
			return affectedBy(result, err)
		}
	}
	var result sql.Result
	var err error
	if len(args) == 0 || t.tx == nil { // possibly a script, which cannot be prepared
		result, err = t.on.ExecContext(t.ctx, query, args...)
	} else {
		var stmt *sql.Stmt
		if stmt, err = t.stmt(query); err == nil {
			result, err = stmt.ExecContext(t.ctx, args...)
		}
	}
	return affectedBy(result, err)
}

func affectedBy(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a query: prepared, but for most in a host's transaction, in which few run twice. In
// a claim the rows must be closed before the next one, for which there may be no connection.
func (t *txn) query(query string, args []any) (*sql.Rows, error) {
	if err := t.stopped(); err != nil {
		return nil, err
	}
	if stmt := t.preparedForHost(query); stmt != nil {
		rows, err := stmt.QueryContext(t.ctx, args...)
		if !t.ofAnotherHandle(err) {
			return rows, err
		}
	}
	if t.tx == nil && t.in == nil {
		return t.on.QueryContext(t.ctx, query, args...)
	}
	stmt, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(t.ctx, args...)
}

// one reads the first row of a query's result; without one it is [sql.ErrNoRows].
func (t *txn) one(query string, args ...any) func(dest ...any) error {
	return func(dest ...any) error {
		rows, err := t.query(query, args)
		if err != nil {
			return err
		}
		if rows.Next() {
			err = rows.Scan(dest...)
		} else if err = rows.Err(); err == nil {
			err = sql.ErrNoRows
		}
		return errors.Join(err, rows.Close())
	}
}

// each calls row for every row of a query's result.
func (t *txn) each(query string, args []any, row func(scan func(...any) error) error) (err error) {
	rows, err := t.query(query, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// numbers returns a query's result, whose rows have one number each.
func (t *txn) numbers(query string, args ...any) (list []int64, err error) {
	err = t.each(query, args, func(scan func(...any) error) error {
		var n int64
		err := scan(&n)
		list = append(list, n)
		return err
	})
	return list, err
}
