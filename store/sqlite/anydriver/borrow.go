package anydriver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strconv"
)

// walLimit is how many bytes the write-ahead log keeps after a burst, where a host's handle
// sets no limit: without one it keeps the largest size that it ever had.
const walLimit = 64 << 20

// borrowing holds the state in which a host's connection has to be given back.
type borrowing struct {
	patience int64 // its busy_timeout, in ms
}

// borrow prepares a host's connection for a transaction of the store. It turns off SQLite's
// own waiting for locks. The limit of the write-ahead log it sets only where there is none, and
// for good, since whichever connection begins the log anew has to know it.
func borrow(ctx context.Context, conn *sql.Conn) (*borrowing, error) {
	var b borrowing
	var limit int64
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&b.patience); err != nil {
		return nil, err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_size_limit").Scan(&limit); err != nil {
		return nil, err
	}
	if limit < 0 {
		if _, err := conn.ExecContext(ctx, "PRAGMA journal_size_limit = "+strconv.Itoa(walLimit)); err != nil {
			return nil, err
		}
	}
	return &b, b.setPatience(conn, 0)
}

// setPatience sets the connection's busy_timeout, unless the host has none.
func (b *borrowing) setPatience(conn *sql.Conn, ms int64) error {
	if b.patience == 0 {
		return nil
	}
	_, err := conn.ExecContext(context.Background(), "PRAGMA busy_timeout = "+strconv.FormatInt(ms, 10))
	return err
}

// giveBack restores what the host has set. A connection where that fails is not used again.
func (b *borrowing) giveBack(conn *sql.Conn) {
	if err := b.setPatience(conn, b.patience); err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}
