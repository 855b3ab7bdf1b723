package postgres_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
)

// A row and its event are stored together, or neither is: a transaction of pgx.
func ExampleStore_Tx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	check(err)
	defer pool.Close()
	store, err := postgres.New(ctx, pool, &postgres.Options{Migrate: true})
	check(err)
	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
	check(err)

	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO candidates (session_id, score) VALUES ($1, $2)", "sess_1", 82); err != nil {
			return err
		}
		event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"sessionId": "sess_1", "score": 82})
		if err != nil {
			return err
		}
		return dispatcher.EmitTo(ctx, store.Tx(tx), event)
	})
	check(err)
}

// The same on database/sql, by whatever driver. This handle shares the store's
// pool; one of the host's own, on the same database, does as well. What GORM,
// sqlx, bun and ent have for a transaction can be given to SQLTx as it is.
func ExampleStore_SQLTx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	check(err)
	defer pool.Close()
	store, err := postgres.New(ctx, pool, &postgres.Options{Migrate: true})
	check(err)
	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
	check(err)
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()

	tx, err := db.BeginTx(ctx, nil)
	check(err)
	defer tx.Rollback() // does nothing once committed
	_, err = tx.ExecContext(ctx, "INSERT INTO candidates (session_id, score) VALUES ($1, $2)", "sess_2", 64)
	check(err)
	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"sessionId": "sess_2", "score": 64})
	check(err)
	check(dispatcher.EmitTo(ctx, store.SQLTx(tx), event))
	check(tx.Commit())
}

// Migrate in every process, at every start: the first one does the work, and the others
// wait for it. The role needs the right to create the schema, or to create in it.
func ExampleMigrate() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	check(err)
	defer pool.Close()

	check(postgres.Migrate(ctx, pool, nil))
	store, err := postgres.New(ctx, pool, nil) // for a role that need not own anything
	check(err)
	fmt.Println(store.Schema())
}

// A host that migrates with a tool of its own writes a file for it, once for
// each version of the schema. This one is for goose.
func ExampleMigrationSQL() {
	migration := "-- +goose Up\n" + postgres.MigrationSQL("")

	first, _, _ := strings.Cut(migration, ";")
	fmt.Println(first)
	// Output:
	// -- +goose Up
	// CREATE SCHEMA IF NOT EXISTS "alotwebhook"
}

// check is for examples, where an error is the end.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// The examples above need a server, and have no output to compare: they run here.
func TestExamples(t *testing.T) {
	dsn := newDatabase(t)
	t.Setenv("DATABASE_URL", dsn)
	pool, err := pgxpool.New(t.Context(), dsn)
	require.NoError(t, err)
	defer pool.Close()
	run(t, pool, "CREATE TABLE candidates (session_id text PRIMARY KEY, score integer NOT NULL)")

	ExampleMigrate()
	ExampleStore_Tx()
	ExampleStore_SQLTx()

	var rows, events int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM candidates), (SELECT count(*) FROM alotwebhook.events)").Scan(&rows, &events))
	require.Equal(t, [2]int{2, 2}, [2]int{rows, events})
}
