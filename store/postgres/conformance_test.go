package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) alotwebhook.Store { return open(t) })
}

func TestConformanceOnOneConnection(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) alotwebhook.Store {
		return open(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	})
}

func TestConformanceWithSimpleProtocol(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) alotwebhook.Store {
		return open(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol })
	})
}
