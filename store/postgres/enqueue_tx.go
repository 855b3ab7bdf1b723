package postgres

import (
	"context"
	"reflect"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqltx"
)

// Tx returns an Enqueuer inside the host's transaction: the events that it stores are
// committed or rolled back with it, in one round trip per call. Neither settings nor
// savepoints are left in the transaction. After an error of the database the transaction is
// aborted, as after any failed statement. A transaction of another database is refused by its name.
// That of another server is refused as well, unless it has a database of the same name with tables
// in the same schema: that takes the events as its own. A nil tx is refused by Enqueue, with an
// [*alotwebhook.FieldError].
//
// Enqueue late in the transaction, and commit soon: see the package comment on
// deliveries that commit more than a second after they were emitted. So it is with erasing, by
// [alotwebhook.Dispatcher.EraseIn]: until the commit, outcomes of the deliveries that it ends are
// not stored, and nobody redelivers what it erases.
func (s *Store) Tx(tx pgx.Tx) alotwebhook.Enqueuer { return pgxEnqueuer{s, tx} }

type pgxEnqueuer struct {
	store *Store
	tx    pgx.Tx
}

// Place is that of the store.
func (q pgxEnqueuer) Place() string { return q.store.Place() }

// Enqueue implements [alotwebhook.Enqueuer].
func (q pgxEnqueuer) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if err := q.check(); err != nil {
		return err
	}
	return q.store.enqueue(ctx, events, func(m *emission) error { return m.storeAmongOthers(q.sender(ctx)) })
}

// Erase is [Store.Erase] in the host's transaction.
func (q pgxEnqueuer) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	if err := q.check(); err != nil {
		return 0, "", err
	}
	return q.store.erase(&r, limit, func(e *erasure) error { return e.eraseAtHome(q.sender(ctx)) })
}

func (q pgxEnqueuer) check() error {
	if v := reflect.ValueOf(q.tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return &alotwebhook.FieldError{Field: "tx", Problem: "is nil; give the transaction that Begin returned, after a look at its error"}
	}
	return nil
}

// sender returns a sender of which the host could commit no part.
//
// The statements that follow the first one that writes are sent even if ctx ends. Without the next
// one, the host could commit events without their deliveries. A statement that is cut short aborts
// the transaction, so the first one may be.
func (q pgxEnqueuer) sender(ctx context.Context) sender {
	return func(_ bool, queries ...query) error {
		if err := q.send(ctx, queries); err != nil {
			return inHostTx{error: err}
		}
		for _, one := range queries {
			ctx = afterwards(ctx, one)
		}
		return nil
	}
}

// afterwards returns the context of what follows a query, as pgxEnqueuer.sender says.
func afterwards(ctx context.Context, q query) context.Context {
	if q.reads {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// send executes queries in one round trip.
func (q pgxEnqueuer) send(ctx context.Context, queries []query) error {
	switch len(queries) {
	case 0:
		return nil
	case 1: // a batch would cost more
		rows, err := q.tx.Query(ctx, q.store.sql(queries[0].sql), queries[0].args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		return queries[0].read(rows)
	}
	var batch pgx.Batch
	for _, one := range queries {
		batch.Queue(q.store.sql(one.sql), one.args...)
	}
	results := q.tx.SendBatch(ctx, &batch)
	for _, one := range queries {
		if err := one.step().read(results); err != nil {
			_ = results.Close()
			return err
		}
	}
	return results.Close()
}

// SQLTx is [Store.Tx] for hosts on database/sql, whatever their driver for
// PostgreSQL and whatever stands on top of it: tx is a [*sql.Tx], or what a
// library has for one; package sqltx says what that is in GORM, sqlx and others. What
// is no transaction, nil and *sql.DB among it, is refused by Enqueue, with an
// [*alotwebhook.FieldError].
func (s *Store) SQLTx(tx sqltx.Tx) alotwebhook.Enqueuer { return sqlEnqueuer{s, tx} }

type sqlEnqueuer struct {
	store *Store
	tx    sqltx.Tx
}

// Place is that of the store.
func (q sqlEnqueuer) Place() string { return q.store.Place() }

// Enqueue implements [alotwebhook.Enqueuer].
func (q sqlEnqueuer) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	tx, err := sqltx.Of(q.tx)
	if err != nil {
		return err
	}
	return q.store.enqueue(ctx, events, func(m *emission) error { return m.storeAmongOthers(q.sender(ctx, tx)) })
}

// Erase is [Store.Erase] in the host's transaction.
func (q sqlEnqueuer) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	tx, err := sqltx.Of(q.tx)
	if err != nil {
		return 0, "", err
	}
	return q.store.erase(&r, limit, func(e *erasure) error { return e.eraseAtHome(q.sender(ctx, tx)) })
}

// sender is that of pgxEnqueuer. In database/sql a context may end between a statement and its result:
// then the statement was executed, and does not abort the transaction by its error.
func (q sqlEnqueuer) sender(ctx context.Context, tx sqltx.Tx) sender {
	return func(_ bool, queries ...query) error {
		for _, one := range queries {
			if err := q.send(ctx, tx, one); err != nil {
				if ctx.Err() != nil && !one.reads {
					abort(ctx, tx)
				}
				return inHostTx{error: err, sql: true}
			}
			ctx = afterwards(ctx, one)
		}
		return nil
	}
}

// abort aborts a transaction whose context has ended, unless that has been done.
func abort(ctx context.Context, tx sqltx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, _ = tx.ExecContext(ctx, `DO $$ BEGIN RAISE EXCEPTION 'alotwebhook: its context has ended'; END $$`)
}

// abortTimeout bounds how long abort waits for the server.
const abortTimeout = 5 * time.Second

func (q sqlEnqueuer) send(ctx context.Context, tx sqltx.Tx, one query) error {
	rows, err := tx.QueryContext(ctx, q.store.sql(one.sql), literals(one.args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return one.read(rows)
}

// literals returns the arguments in a form that every driver of database/sql can pass on:
// what is none of Go's own types is spelled as PostgreSQL reads it, such as {"a","b"}.
func literals(args []any) []any {
	spelled := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case pgtype.UUID:
			spelled[i] = uuidText(arg.Bytes)
		case []pgtype.UUID:
			spelled[i] = arrayLiteral(arg, func(b []byte, u pgtype.UUID) []byte { return append(b, uuidText(u.Bytes)...) })
		case []string:
			spelled[i] = arrayLiteral(arg, appendQuoted)
		case []*string:
			spelled[i] = arrayLiteral(arg, appendNullable)
		case *string:
			if arg != nil { // otherwise it stays nil, which stands for NULL
				spelled[i] = *arg
			}
		case []int64:
			spelled[i] = arrayLiteral(arg, func(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) })
		case []int32:
			spelled[i] = arrayLiteral(arg, func(b []byte, n int32) []byte { return strconv.AppendInt(b, int64(n), 10) })
		default:
			spelled[i] = arg
		}
	}
	return spelled
}

// arrayLiteral spells values as PostgreSQL reads an array.
func arrayLiteral[T any](values []T, spell func([]byte, T) []byte) string {
	b := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = spell(b, v)
	}
	return string(append(b, '}'))
}

// appendQuoted spells a text within an array.
func appendQuoted(b []byte, text string) []byte {
	b = append(b, '"')
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, text[i])
	}
	return append(b, '"')
}

// appendNullable spells a text, or NULL, within an array.
func appendNullable(b []byte, text *string) []byte {
	if text == nil {
		return append(b, "NULL"...)
	}
	return appendQuoted(b, *text)
}
