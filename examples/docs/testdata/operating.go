package fragment

import (
	"context"
	"database/sql"
	"time"

	"github.com/alot/alotwebhook"
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
	endpointID            string
	since                 time.Time
	oldKey, newKey        []byte
	attempts              vector
	pending, parked       gauge
	oldest, oldestFailing gauge
	failingEndpoints      gauge
	disabledEndpoints     gauge
	tellCustomer          func(organization, url string, reason alotwebhook.DisabledReason)
)

func fragment(ctx context.Context) error {
	// the fragment
	return nil
}
