package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/sqlite"
)

const (
	dispatcherRole = "dispatcher"
	emitterRole    = "emitter"

	organization = "org_crash"
	secret       = alotwebhook.Secret("a secret for the ledger")

	inFlight = 16

	// timeout bounds an attempt: a hundred times what one takes here, so that one
	// that is over its time was held up by the test, and not by a busy machine.
	timeout = 5 * time.Second
	// lease is the shortest that a dispatcher takes with this timeout.
	lease = 2*timeout + 10*time.Second

	// A report is whole if it has both ends.
	ackPrefix, ackSuffix = "acknowledged ", "."
)

var endpointPaths = []string{"/first", "/second"}

// jobVariable names the environment variable that holds a child's job in JSON.
const jobVariable = "CRASH_JOB"

// job says what a child process does.
type job struct {
	Role, Name string
	Place      place
}

// place is where a store keeps its tables.
type place struct {
	DSN    string // sqlite:PATH or postgres:CONNECTION STRING
	Schema string // in PostgreSQL
}

func (p place) open(ctx context.Context) (store alotwebhook.Store, closeStore func(), err error) {
	kind, rest, _ := strings.Cut(p.DSN, ":")
	switch kind {
	case "sqlite":
		store, err := sqlite.Open(ctx, rest)
		if err != nil {
			return nil, nil, err
		}
		return store, func() { _ = store.Close() }, nil
	case "postgres":
		config, err := pgxpool.ParseConfig(rest)
		if err != nil {
			return nil, nil, err
		}
		config.MaxConns = 4
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return nil, nil, err
		}
		store, err := postgres.New(ctx, pool, &postgres.Options{Schema: p.Schema, Notify: true})
		if err != nil {
			pool.Close()
			return nil, nil, err
		}
		return store, pool.Close, nil
	}
	return nil, nil, fmt.Errorf("crash: %q is not a store; want sqlite:PATH or postgres:CONNECTION STRING", p.DSN)
}

func config(name string, log slog.Handler) *alotwebhook.Config {
	return &alotwebhook.Config{
		AllowHTTP: true,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Timeout:   timeout,
		InFlight:  inFlight,
		UserAgent: name, // tells the ledger who has sent a request
		Retry:     alotwebhook.Schedule(100*time.Millisecond, 100*time.Millisecond, time.Second, time.Second),
		Logger:    slog.New(log),
	}
}

// child does the job of a child process and returns its exit code.
func child(text string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var j job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = j.do(ctx)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "crash:", j.Name, err)
		return 1
	}
	return 0
}

func (j job) do(ctx context.Context) error {
	store, closeStore, err := j.openPatiently(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	// The parent reads the warnings and errors from standard output.
	log := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn})
	cfg := config(j.Name, log)
	if j.Role == hostRole || j.Role == listenerRole {
		listen(cfg)
	}
	d, err := alotwebhook.NewDispatcher(store, cfg)
	if err != nil {
		return err
	}
	switch j.Role {
	case emitterRole:
		return emitForever(ctx, d, store)
	case hostRole:
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		return errors.Join(registerForever(ctx, d), <-ended)
	}
	return d.Run(ctx)
}

// openPatiently opens the store, and tries again while it is away. In production, the host's
// processes would be started again and again, as here every 100 ms until patience ends.
func (j job) openPatiently(ctx context.Context) (store alotwebhook.Store, closeStore func(), err error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		store, closeStore, err = j.Place.open(ctx)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return store, closeStore, err
		}
	}
}

// mostQueued is how many deliveries the emitters let queue up, about. On PostgreSQL a killed
// dispatcher's endpoints wait for a lease: after many kills, what was emitted meanwhile would
// take hours to deliver.
const mostQueued = 4000

func emitForever(ctx context.Context, d *alotwebhook.Dispatcher, store alotwebhook.Store) error {
	for i := 0; ctx.Err() == nil; i++ {
		if i%100 == 0 {
			awaitRoom(ctx, store)
		}
		event, err := newEvent(i)
		if err != nil {
			return err
		}
		if err := emit(ctx, d, event); err != nil {
			return err
		}
		fmt.Println(ackPrefix + event.ID + ackSuffix)
		time.Sleep(time.Millisecond) // leaves processor time to the dispatchers
	}
	return nil
}

// awaitRoom waits while too much is queued. A store that fails holds up nobody.
func awaitRoom(ctx context.Context, store alotwebhook.Store) {
	for {
		stats, err := store.Stats(ctx)
		if err != nil || stats.Pending < mostQueued {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func newEvent(score int) (alotwebhook.Event, error) {
	return alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, json.RawMessage(fmt.Sprintf(`{"score":%d}`, score)))
}

// emit emits one event again and again until Emit returns nil, as the documentation tells a
// host to do.
func emit(ctx context.Context, d *alotwebhook.Dispatcher, event alotwebhook.Event) error {
	for {
		err := d.Emit(ctx, event)
		if err == nil || ctx.Err() != nil || errors.Is(err, alotwebhook.ErrInvalid) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // a host would not retry in a busy loop, either
	}
}
