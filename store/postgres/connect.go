package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// connect opens a connection beside the pool, as the pool opens its own: BeforeConnect may fill in a
// password that changes, or the host, and AfterConnect may choose the role. change, unless it is nil, has
// the last word about the configuration.
func (s *Store) connect(ctx context.Context, change func(*pgx.ConnConfig)) (*pgx.Conn, error) {
	pool := s.pool.Config()
	config := pool.ConnConfig
	if pool.BeforeConnect != nil {
		if err := pool.BeforeConnect(ctx, config); err != nil {
			return nil, err
		}
	}
	if change != nil {
		change(config)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil || pool.AfterConnect == nil {
		return conn, err
	}
	if err := pool.AfterConnect(ctx, conn); err != nil {
		closeSoon(conn)
		return nil, err
	}
	return conn, nil
}

// closeSoon closes a connection that is not the pool's.
func closeSoon(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx) // an error says that the connection is broken, which changes nothing
}
