package fragment

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
)

var (
	pool       *pgxpool.Pool
	store      *postgres.Store
	dispatcher *alotwebhook.Dispatcher
	event      alotwebhook.Event
	events     []alotwebhook.Event
	tx         pgx.Tx
	id         string // of an endpoint
	deliveryID string
	yesterday  time.Time
)

func fragment(ctx context.Context) error {
	// the fragment
	return nil
}
