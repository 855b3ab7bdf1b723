package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

const (
	roleVariable   = "CRASH_ROLE"
	dispatcherRole = "dispatcher"
	emitterRole    = "emitter"

	organization = "org_crash"
	secret       = alotwebhook.Secret("a secret for the ledger")

	timeout  = 2 * time.Second
	lease    = 2*timeout + 10*time.Second
	inFlight = 32

	// A report is whole if it has both ends.
	ackPrefix, ackSuffix = "acknowledged ", "."
)

var endpointPaths = []string{"/first", "/second"}

func openStore(ctx context.Context, dsn string) (alotwebhook.Store, func(), error) {
	kind, rest, _ := strings.Cut(dsn, ":")
	switch kind {
	case "sqlite":
		store, err := sqlite.Open(ctx, rest)
		if err != nil {
			return nil, nil, err
		}
		return store, func() { _ = store.Close() }, nil
	}
	return nil, nil, fmt.Errorf("crash: %q is not a store; want sqlite:PATH", dsn)
}

func newDispatcher(store alotwebhook.Store, name string) (*alotwebhook.Dispatcher, error) {
	return alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		AllowHTTP: true,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Timeout:   timeout,
		Lease:     lease,
		InFlight:  inFlight,
		UserAgent: name, // how the ledger tells whose request it is
		Retry:     alotwebhook.Schedule(100*time.Millisecond, 100*time.Millisecond, time.Second, time.Second),
		Logger:    slog.New(slog.DiscardHandler),
	})
}

// child is what runs in a child process; it returns the exit code.
func child(role string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, closeStore, err := openStore(ctx, os.Getenv("CRASH_DSN"))
	if err == nil {
		defer closeStore()
		var d *alotwebhook.Dispatcher
		if d, err = newDispatcher(store, os.Getenv("CRASH_NAME")); err == nil {
			err = work(ctx, d, role)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", role, err)
		return 1
	}
	return 0
}

func work(ctx context.Context, d *alotwebhook.Dispatcher, role string) error {
	if role == dispatcherRole {
		return d.Run(ctx)
	}
	n, err := strconv.Atoi(os.Getenv("CRASH_EVENTS"))
	if err != nil {
		return err
	}
	for i := range n { // more than enough in sum; the parent stops when it has what it wants
		event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, json.RawMessage(fmt.Sprintf(`{"score":%d}`, i)))
		if err != nil {
			return err
		}
		if err := d.Emit(ctx, event); err != nil {
			return err
		}
		fmt.Println(ackPrefix + event.ID + ackSuffix)
		time.Sleep(time.Millisecond)
	}
	return nil
}
