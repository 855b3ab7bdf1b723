package fragment

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

var (
	db                   *sql.DB
	verifier             *alotwebhook.Verifier
	receiver             *alotwebhook.Receiver
	newSecret, oldSecret alotwebhook.Secret
	save                 func(context.Context, *sql.Tx, alotwebhook.CandidateCompleted) error
	request              struct {
		Headers map[string]string
		Body    []byte
	}
)

func fragment(ctx context.Context) error {
	// the fragment
	return nil
}
