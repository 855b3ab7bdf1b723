package fragment

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/health"
)

type (
	counter interface{ Inc() }
	vector  interface{ WithLabelValues(...string) counter }
	gauge   interface{ Set(float64) }
)

var (
	db                    *sql.DB
	store                 alotwebhook.Store
	dispatcher            *alotwebhook.Dispatcher
	mux                   *http.ServeMux
	_                     = health.Live
	endpointID            string
	since, ten, tenForty  time.Time
	oldKey, newKey        []byte
	attempts              vector
	pending, parked       gauge
	oldest, oldestFailing gauge
	failingEndpoints      gauge
	disabledEndpoints     gauge
	transaction           alotwebhook.Enqueuer
	tellCustomer          func(ctx context.Context, organization, endpoint, why string) error
)

func fragment(ctx context.Context) error {
	// the fragment
	return nil
}
