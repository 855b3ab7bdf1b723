// Package sqltx says what a transaction of database/sql is, whatever stands on
// top of it: what the stores' methods Tx and SQLTx take, and that of package
// dedupe.
//
// A [*sql.Tx] is one. So is what most libraries above database/sql give for
// theirs:
//
//   - GORM: tx.Statement.ConnPool, also with PrepareStmt
//   - sqlx: tx itself, or tx.Tx
//   - ent, generated with its feature sql/execquery: tx itself
//   - bun: tx.Tx; bun's own methods rewrite the statements that they are given
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
// Commit and Rollback, without arguments and with an error: [Check] refuses
// what has not, since a handle such as *sql.DB would store outside of any
// transaction. They are not part of the interface, so that the fields in which
// libraries keep either kind can be given as they are.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

var _ Tx = (*sql.Tx)(nil)

// Check refuses what is no transaction: nil, a nil pointer, a handle or a
// connection. The error is an [*alotwebhook.FieldError] for the field tx.
func Check(tx Tx) error {
	if v := reflect.ValueOf(tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return &alotwebhook.FieldError{Field: "tx", Problem: "is nil; give the transaction that BeginTx returned, after a look at its error"}
	}
	_, ends := tx.(interface {
		Commit() error
		Rollback() error
	})
	if !ends {
		return &alotwebhook.FieldError{Field: "tx", Problem: fmt.Sprintf(
			"is a %T, which is no transaction: what is done through it stays, whatever becomes of your transaction; begin one with BeginTx and give that", tx)}
	}
	return nil
}
