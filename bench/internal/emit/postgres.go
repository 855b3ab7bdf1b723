package emit

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/lib/pq" // registers the driver "postgres"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/stores"
	"github.com/alot/alotwebhook/store/postgres"
)

// hostSchema is the schema of the host's own table, and of River's.
const hostSchema = "bench_host"

// createRows creates the table of the business rows; insertRow inserts one.
const (
	createRows = "CREATE TABLE " + hostSchema + `.candidates (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		organization text NOT NULL, name text NOT NULL, score integer NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`
	insertRow = "INSERT INTO " + hostSchema + ".candidates (organization, name, score) VALUES ($1, $2, $3)"
)

// rowArgs are the arguments of insertRow.
var rowArgs = []any{"org_1", "Jane Smith", 82}

// postgresHost is a host on PostgreSQL.
type postgresHost struct {
	host
	store *postgres.Store
	at    string
}

func openPostgres(ctx context.Context, o Config) (*subject, error) {
	s, err := stores.New(ctx, "postgres")
	if err != nil {
		return nil, err
	}
	p := &postgresHost{host{organizations: o.Organizations}, s.Store.(*postgres.Store), s.Place.At}
	p.opens(s.Close)
	subject, err := p.prepare(ctx, o)
	if err != nil {
		return nil, errors.Join(err, p.closeAll())
	}
	return subject, nil
}

func (p *postgresHost) prepare(ctx context.Context, o Config) (*subject, error) {
	if err := p.dispatch(ctx, p.store); err != nil {
		return nil, err
	}
	pool, err := p.pool(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+hostSchema); err != nil {
		return nil, err
	}
	p.opens(func() error {
		_, err := pool.Exec(context.WithoutCancel(ctx), "DROP SCHEMA "+hostSchema+" CASCADE")
		return err
	})
	if _, err := pool.Exec(ctx, createRows); err != nil {
		return nil, err
	}
	server, err := findServer(ctx, pool)
	if err != nil {
		return nil, err
	}
	groups, err := p.groups(ctx, o)
	return &subject{groups, p.events, server.cpuTime, p.closeAll}, err
}

func (p *postgresHost) groups(ctx context.Context, o Config) (groups []group, err error) {
	for _, driver := range o.Drivers {
		connect := p.connectPgx
		if driver == "pq" {
			connect = p.connectPq
		}
		g, err := p.oneEvent("PostgreSQL, "+driver, func() (transaction, error) { return connect(ctx) })
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	if o.Batch == 0 {
		return groups, nil
	}
	pool, err := p.pool(ctx)
	if err != nil {
		return nil, err
	}
	client, err := newRiver(ctx, riverpgxv5.New(pool), hostSchema)
	if err != nil {
		return nil, err
	}
	g, err := p.many("PostgreSQL, pgx", o.Batch, func() (transaction, error) { return p.connectPgx(ctx) }, insertMany(client))
	return append(groups, g), err
}

// pool returns a pool of one connection, which closeAll closes.
func (p *postgresHost) pool(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(p.at)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err == nil {
		p.opens(func() error { pool.Close(); return nil })
	}
	return pool, err
}

// connectPgx returns the transactions of a host on pgx.
func (p *postgresHost) connectPgx(ctx context.Context) (transaction, error) {
	pool, err := p.pool(ctx)
	if err != nil {
		return nil, err
	}
	client, err := newRiver(ctx, riverpgxv5.New(pool), hostSchema)
	return func(ctx context.Context, fn func(hostTx) error) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, insertRow, rowArgs...); err != nil {
				return err
			}
			return fn(hostTx{p.store.Tx(tx), func(e alotwebhook.Event) error { return insertOne(ctx, client, tx, e) }})
		})
	}, err
}

// connectPq returns the transactions of a host on database/sql with lib/pq.
func (p *postgresHost) connectPq(ctx context.Context) (transaction, error) {
	db, err := sql.Open("postgres", p.at)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	p.opens(db.Close)
	client, err := newRiver(ctx, riverdatabasesql.New(db), hostSchema)
	return func(ctx context.Context, fn func(hostTx) error) error {
		return inTx(ctx, db, insertRow, func(tx *sql.Tx) error {
			return fn(hostTx{p.store.SQLTx(tx), func(e alotwebhook.Event) error { return insertOne(ctx, client, tx, e) }})
		})
	}, err
}

// inTx calls fn in a transaction with a business row.
func inTx(ctx context.Context, db *sql.DB, insert string, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, insert, rowArgs...)
	if err == nil {
		err = fn(tx)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
