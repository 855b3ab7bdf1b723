package load

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/stores"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/sqlite"
)

// host is the application around the library: it has tables of its own in the same database.
type host struct {
	store alotwebhook.Store
	// emitTo stores a row of the host and an event in one transaction.
	emitTo func(context.Context, *alotwebhook.Dispatcher, alotwebhook.Event) error
	// write stores a row of the host's alone.
	write  func(context.Context) error
	claims *claims
	close  func() error
}

// claims observes the claims of a store.
type claims struct {
	took times
	got  times // the number of deliveries, as so many milliseconds
}

func (c *claims) observe(claim func() (alotwebhook.ClaimResult, error)) (alotwebhook.ClaimResult, error) {
	began := time.Now()
	result, err := claim()
	if len(result.Deliveries) > 0 {
		c.took.add(time.Since(began))
		c.got.add(time.Duration(len(result.Deliveries)) * time.Millisecond)
	}
	return result, err
}

// inPostgres and inSQLite are stores whose claims are observed. They keep the optional
// capabilities of the store.
type inPostgres struct {
	*postgres.Store
	claims *claims
}

func (s inPostgres) Claim(ctx context.Context, r alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	return s.claims.observe(func() (alotwebhook.ClaimResult, error) { return s.Store.Claim(ctx, r) })
}

type inSQLite struct {
	*sqlite.Store
	claims *claims
}

func (s inSQLite) Claim(ctx context.Context, r alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	return s.claims.observe(func() (alotwebhook.ClaimResult, error) { return s.Store.Claim(ctx, r) })
}

// hostTable is the host's own table.
func hostTable(p stores.Place) string {
	if p.Kind == "postgres" {
		return p.Schema + ".bench_host"
	}
	return "bench_host"
}

func openHost(ctx context.Context, p stores.Place) (*host, error) {
	switch p.Kind {
	case "postgres":
		return openPostgres(ctx, p)
	case "sqlite":
		return openSQLite(ctx, p)
	}
	return nil, fmt.Errorf("there is no steady load on a store %q: take sqlite or postgres", p.Kind)
}

func openPostgres(ctx context.Context, p stores.Place) (*host, error) {
	config, err := pgxpool.ParseConfig(p.At)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 10
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	store, err := postgres.New(ctx, pool, &postgres.Options{Schema: p.Schema, Notify: p.Notify})
	if err != nil {
		pool.Close()
		return nil, err
	}
	insert := "INSERT INTO " + hostTable(p) + " (text) VALUES ('a row of the host')"
	h := &host{claims: &claims{}, close: func() error { pool.Close(); return nil }}
	h.store = inPostgres{store, h.claims}
	h.write = func(ctx context.Context) error { _, err := pool.Exec(ctx, insert); return err }
	h.emitTo = func(ctx context.Context, d *alotwebhook.Dispatcher, e alotwebhook.Event) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, insert); err != nil {
				return err
			}
			return d.EmitTo(ctx, store.Tx(tx), e)
		})
	}
	return h, nil
}

// sqliteName is the data source name that docs/sending.md shows to hosts.
func sqliteName(path string) string {
	return "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=journal_size_limit(67108864)&_txlock=immediate"
}

func openSQLite(ctx context.Context, p stores.Place) (*host, error) {
	db, err := sql.Open("sqlite", sqliteName(p.At))
	if err != nil {
		return nil, err
	}
	store, err := sqlite.New(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	insert := "INSERT INTO " + hostTable(p) + " (text) VALUES ('a row of the host')"
	inTx := func(ctx context.Context, do func(*sql.Tx) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, insert); err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		return tx.Commit()
	}
	h := &host{claims: &claims{}, close: db.Close}
	h.store = inSQLite{store, h.claims}
	h.write = func(ctx context.Context) error { return inTx(ctx, func(*sql.Tx) error { return nil }) }
	h.emitTo = func(ctx context.Context, d *alotwebhook.Dispatcher, e alotwebhook.Event) error {
		return inTx(ctx, func(tx *sql.Tx) error { return d.EmitTo(ctx, store.Tx(tx), e) })
	}
	return h, nil
}
