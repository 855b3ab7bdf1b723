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
	secret               alotwebhook.Secret
	newSecret, oldSecret alotwebhook.Secret
	w                    http.ResponseWriter
	r                    *http.Request
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
