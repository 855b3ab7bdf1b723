package fragment

import (
	"context"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/shards"
	"github.com/jackc/pgx/v5"
)

var (
	a, b       *postgres.Store
	cfg        *alotwebhook.Config
	store      *shards.Store
	dispatcher *alotwebhook.Dispatcher
	event      alotwebhook.Event
	tx         pgx.Tx
	byHash     func(string) []string
)

func fragment(ctx context.Context) error {
	// the fragment
	return nil
}
