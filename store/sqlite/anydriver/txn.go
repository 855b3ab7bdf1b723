package anydriver

import (
	"context"
	"database/sql"
	"errors"

	"github.com/alot/alotwebhook/store/sqltx"
)

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
