package deliver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/stores"
	alotsettings "github.com/alot/alotwebhook/settings"
)

// Disturbance is work that goes on during the deliveries. The zero value is none.
type Disturbance struct {
	// Name completes the name of a contender.
	Name  string
	begin func(context.Context, *stores.Store, *alotwebhook.Dispatcher) (end func() error, err error)
}

// Pinned keeps a transaction open in another session. Its snapshot prevents PostgreSQL from
// removing dead rows.
var Pinned = Disturbance{", pinned", func(ctx context.Context, s *stores.Store, _ *alotwebhook.Dispatcher) (func() error, error) {
	return s.Pin(ctx)
}}

// turn is the time between two pages of a fast reader.
const turn = 250 * time.Millisecond

// Read pages through an organization's history, from the newest delivery to the oldest, again
// and again.
var Read = Disturbance{", read", func(ctx context.Context, _ *stores.Store, d *alotwebhook.Dispatcher) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- readHistory(ctx, d) }()
	return func() error { cancel(); return <-done }, nil
}}

// Overseen looks at the overview of the operators' pages, ten times a second: as often as it may,
// it counts anew.
var Overseen = Disturbance{", overseen", func(ctx context.Context, _ *stores.Store, d *alotwebhook.Dispatcher) (func() error, error) {
	pages, err := alotsettings.NewOperatorPages(d, &alotsettings.OperatorOptions{
		Operator: func(*http.Request) (string, error) { return "bench", nil },
		May:      func(*http.Request, alotsettings.Action) bool { return true },
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- oversee(ctx, pages) }()
	return func() error { cancel(); return <-done }, nil
}}

func oversee(ctx context.Context, pages http.Handler) error {
	for {
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if w.Code != http.StatusOK {
			return fmt.Errorf("overview: status %d", w.Code)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func readHistory(ctx context.Context, d *alotwebhook.Dispatcher) error {
	f := alotwebhook.Filter{OrganizationID: organization(0), State: alotwebhook.StateDelivered, Limit: 50}
	for {
		_, next, err := d.DeliveryPage(ctx, f)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		f.Cursor = next
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(turn):
		}
	}
}
