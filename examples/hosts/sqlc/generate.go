// Package sqlc is generated from query.sql. With sql_package database/sql in
// place of pgx/v5, the transaction goes to SQLTx in place of Tx.
package sqlc

//go:generate go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate
