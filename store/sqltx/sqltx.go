// Package sqltx says what a transaction of database/sql is, whatever stands on
// top of it: what the stores' methods Tx and SQLTx take, and that of package
// dedupe.
//
// A [*sql.Tx] is one. So is what most libraries above database/sql have for
// theirs:
//
//   - GORM: tx.Statement.ConnPool, with PrepareStmt or without
//   - sqlx: tx
//   - bun: tx
//   - ent, generated with its feature sql/execquery: tx
//   - sqlc: the *sql.Tx that was given to WithTx
package sqltx

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"

	"github.com/alot/alotwebhook"
)

// Tx is a transaction of database/sql. Beside the two methods it must have
// Commit and Rollback, without arguments and with an error: [Of] refuses what
// has not, since a handle such as *sql.DB would store outside of any
// transaction. They are not part of the interface, so that the fields in which
// libraries keep either kind can be given as they are.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

var _ Tx = (*sql.Tx)(nil)

// Of returns the transaction to work through: the *sql.Tx in a struct that has
// one as its field Tx, as those of sqlx and bun do, since bun's own methods
// rewrite statements; otherwise tx itself. It refuses what is no transaction:
// nil, a nil pointer, a handle or a connection. The error is an
// [*alotwebhook.FieldError] for the field tx.
func Of(tx Tx) (Tx, error) {
	tx = within(tx)
	if v := reflect.ValueOf(tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &alotwebhook.FieldError{Field: "tx", Problem: "is nil; give the transaction that BeginTx returned, after a look at its error"}
	}
	_, ends := tx.(interface {
		Commit() error
		Rollback() error
	})
	if !ends {
		return nil, &alotwebhook.FieldError{Field: "tx", Problem: fmt.Sprintf(
			"is a %T, which is no transaction: what is done through it stays, whatever becomes of your transaction; begin one with BeginTx and give that", tx)}
	}
	return tx, nil
}

// within returns the *sql.Tx in the field Tx of a struct, or else tx.
func within(tx Tx) Tx {
	v := reflect.Indirect(reflect.ValueOf(tx))
	if v.Kind() != reflect.Struct {
		return tx
	}
	field, ok := v.Type().FieldByName("Tx")
	if !ok || field.Type != reflect.TypeFor[*sql.Tx]() {
		return tx
	}
	if v, err := v.FieldByIndexErr(field.Index); err == nil {
		return v.Interface().(*sql.Tx)
	}
	return (*sql.Tx)(nil) // in a struct that is embedded by a nil pointer
}
