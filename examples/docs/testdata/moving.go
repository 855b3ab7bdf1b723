package fragment

import (
	"context"
	"database/sql"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

var (
	dispatcher     *alotwebhook.Dispatcher
	store          *sqlite.Store
	organizationID string
	event          alotwebhook.Event
	tx             *sql.Tx
	moved          func(string) bool
	tellOldSender  func(context.Context, alotwebhook.Event) error
)

func fragment(ctx context.Context) error {
	// the fragment
}
