package fragment

import (
	"context"
	"database/sql"

	"github.com/alot/alotwebhook/store/sqlite"
)

func fragment(ctx context.Context) error {
	// the fragment
	return nil
}
