package load

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// observer is the application_name of the connections that observe and disturb.
const observer = "alotwebhook-soak"

// disturbance happens at a minute of thirty. If the load lasts longer or less, the minutes do
// too. What lasts so many seconds lasts less in a shorter load, and never longer.
type disturbance struct {
	minute float64
	name   string
	do     func(ctx context.Context, b *bed) error
}

// disturbances returns those of a store, in the order of time.
func disturbances(store string) []disturbance {
	if store == "postgres" {
		return []disturbance{
			{10, "a snapshot held for 3 min", holdSnapshot(180)},
			{14, "the queue locked for 1 s", lockQueue(1)},
			{14.5, "VACUUM FULL of the queue", onPostgres("VACUUM FULL %[1]s.queue")},
			{15, "CREATE INDEX on the queue", onPostgres("CREATE INDEX bench_soak ON %[1]s.queue (event_id)", "DROP INDEX %[1]s.bench_soak")},
			{15.3, "the queue locked for 5 s", lockQueue(5)},
			{15.7, "all connections terminated", terminate},
			{16, "the queue locked for 15 s", lockQueue(15)},
			{20, "the bad receivers healed", heal},
		}
	}
	return []disturbance{
		{10, "a reader's snapshot held for 54 s", holdRead(54)},
		{13, "a write transaction of the host for 1 s", holdWrite(1)},
		{14, "a write transaction of the host for 5 s", holdWrite(5)},
		{16, "a write transaction of the host for 15 s", holdWrite(15)},
		{18, "VACUUM of the file", onSQLite("VACUUM")},
		{20, "the bad receivers healed", heal},
		{24, "a checkpoint that truncates the log", onSQLite("PRAGMA wal_checkpoint(TRUNCATE)")},
	}
}

// Disturbed holds the effects of a disturbance.
type Disturbed struct {
	// Mark is a letter, for the plots.
	Mark string  `json:"mark"`
	Name string  `json:"name"`
	At   float64 `json:"at"` // minutes since the start
	// Lasted is how long it took, Gap the longest time without a delivery to a healthy
	// receiver from its beginning to five seconds after its end; in seconds.
	Lasted float64 `json:"lasted"`
	Gap    float64 `json:"gap"`
}

// scale is how long a disturbance of a second is.
func (b *bed) scale() float64 { return min(1, float64(b.config.Length)/float64(30*time.Minute)) }

// disturb does all disturbances, each at its time or when those before are over.
func (b *bed) disturb(ctx context.Context) error {
	if !b.config.Disturb {
		return nil
	}
	for i, d := range disturbances(b.config.Store) {
		at := b.began.Add(time.Duration(d.minute / 30 * float64(b.config.Length)))
		if err := sleep(ctx, time.Until(at)); err != nil {
			return err
		}
		if err := b.receivers.Call(ctx, "mark", nil, nil); err != nil {
			return err
		}
		b.config.Progress(d.name)
		began := time.Now()
		if err := d.do(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		lasted := time.Since(began)
		if err := sleep(ctx, b.seconds(5)); err != nil {
			return err
		}
		var gap time.Duration
		if err := b.receivers.Call(ctx, "gap", nil, &gap); err != nil {
			return err
		}
		b.result.Disturbances = append(b.result.Disturbances, Disturbed{
			string(rune('A' + i)), d.name, began.Sub(b.began).Minutes(), lasted.Seconds(), gap.Seconds(),
		})
	}
	return nil
}

// seconds returns so many seconds, or less in a short load.
func (b *bed) seconds(n float64) time.Duration {
	return time.Duration(n * b.scale() * float64(time.Second))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func heal(ctx context.Context, b *bed) error { return b.receivers.Call(ctx, "heal", nil, nil) }

// withPostgres connects as one who disturbs.
func (b *bed) withPostgres(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, b.store.Place.At)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "SET application_name = '"+observer+"'")
	if err == nil {
		err = do(conn)
	}
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

func onPostgres(statements ...string) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		return b.withPostgres(ctx, func(conn *pgx.Conn) error {
			for _, s := range statements {
				if _, err := conn.Exec(ctx, fmt.Sprintf(s, b.store.Place.Schema)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// inTransaction does something and keeps the transaction open.
func inTransaction(begin, statement string, hold float64) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		return b.withPostgres(ctx, func(conn *pgx.Conn) error {
			for _, s := range []string{begin, fmt.Sprintf(statement, b.store.Place.Schema)} {
				if _, err := conn.Exec(ctx, s); err != nil {
					return err
				}
			}
			if err := sleep(ctx, b.seconds(hold)); err != nil {
				return err
			}
			_, err := conn.Exec(ctx, "COMMIT")
			return err
		})
	}
}

func holdSnapshot(seconds float64) func(context.Context, *bed) error {
	return inTransaction("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM %[1]s.deliveries", seconds)
}

func lockQueue(seconds float64) func(context.Context, *bed) error {
	return inTransaction("BEGIN", "LOCK TABLE %[1]s.queue IN ACCESS EXCLUSIVE MODE", seconds)
}

func terminate(ctx context.Context, b *bed) error {
	return b.withPostgres(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> $1`, observer)
		return err
	})
}

// withSQLite opens the file as another program of the host does.
func (b *bed) withSQLite(ctx context.Context, do func(*sql.Conn) error) error {
	db, err := sql.Open("sqlite", "file:"+b.store.Place.At+"?_pragma=busy_timeout("+strconv.Itoa(int(patience.Milliseconds()))+")")
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(do(conn), conn.Close())
	}
	return errors.Join(err, db.Close())
}

func onSQLite(statements ...string) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		return b.withSQLite(ctx, func(conn *sql.Conn) error {
			for _, s := range statements {
				if _, err := conn.ExecContext(ctx, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// holdSQLite keeps a transaction open.
func holdSQLite(begin, statement string, hold float64) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		return b.withSQLite(ctx, func(conn *sql.Conn) error {
			if _, err := conn.ExecContext(ctx, begin); err != nil {
				return err
			}
			_, err := conn.ExecContext(ctx, statement)
			if err == nil {
				err = sleep(ctx, b.seconds(hold))
			}
			_, endErr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			return errors.Join(err, endErr)
		})
	}
}

func holdRead(seconds float64) func(context.Context, *bed) error {
	return holdSQLite("BEGIN", "SELECT count(*) FROM alotwebhook_deliveries", seconds)
}

func holdWrite(seconds float64) func(context.Context, *bed) error {
	return holdSQLite("BEGIN IMMEDIATE", "INSERT INTO bench_host (text) VALUES ('a long transaction')", seconds)
}
