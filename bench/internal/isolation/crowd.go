package isolation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

const (
	healthy   = 50  // organizations with one endpoint each
	perSecond = 100 // events to them
	eventType = "candidate.completed"
	settle    = time.Second // for the last events to arrive
)

// crowd is a running dispatcher with the receivers of its customers.
type crowd struct {
	dispatcher *alotwebhook.Dispatcher
	stop       context.CancelFunc
	ended      chan error
	servers    []*http.Server

	mu       sync.Mutex
	received map[string]time.Time // by event, the first time
}

// newCrowd registers everybody, stores the backlog and starts the dispatcher.
func newCrowd(ctx context.Context, store *stores.Store, r row) (c *crowd, err error) {
	c = &crowd{received: map[string]time.Time{}, ended: make(chan error, 1), stop: func() {}}
	c.dispatcher, err = alotwebhook.NewDispatcher(store.Store, &alotwebhook.Config{
		AllowHTTP:       true,
		MaxEndpoints:    -1,
		AllowNets:       []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:          slog.New(slog.DiscardHandler),
		ShutdownTimeout: time.Millisecond, // nobody waits for receivers that hang
	})
	if err != nil {
		return nil, err
	}
	if err := c.register(ctx, "healthy", healthy, 1, c.receive); err != nil {
		return nil, err
	}
	if err := c.register(ctx, "bad", r.organizations, r.endpoints, r.behave); err != nil {
		return nil, err
	}
	for org := range r.organizations {
		if err := c.fill(ctx, fmt.Sprintf("bad-%d", org), r.backlog); err != nil {
			return nil, err
		}
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go func() { c.ended <- c.dispatcher.Run(runCtx) }()
	return c, nil
}

// register makes organizations with endpoints, all on one server: each endpoint at another
// of the loopback addresses.
func (c *crowd) register(ctx context.Context, kind string, organizations, endpoints int, behave http.HandlerFunc) error {
	server := &http.Server{Handler: behave, ReadHeaderTimeout: time.Minute}
	c.servers = append(c.servers, server)
	for n := range organizations * endpoints {
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.%d.%d.%d:0", len(c.servers), n/250, 1+n%250))
		if err != nil {
			return err
		}
		go func() { _ = server.Serve(listener) }()
		_, err = c.dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
			OrganizationID: fmt.Sprintf("%s-%d", kind, n/endpoints),
			URL:            "http://" + listener.Addr().String() + "/",
			EventTypes:     []string{eventType},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// receive is a healthy receiver.
func (c *crowd) receive(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	event, err := alotwebhook.ParseEvent(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, again := c.received[event.ID]; !again {
		c.received[event.ID] = at
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *crowd) arrived(id string) (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok = c.received[id]
	return at, ok
}

// fill emits a backlog in one call.
func (c *crowd) fill(ctx context.Context, organization string, n int) error {
	events := make([]alotwebhook.Event, n)
	for i := range events {
		var err error
		if events[i], err = newEvent(organization); err != nil {
			return err
		}
	}
	return c.dispatcher.Emit(ctx, events...)
}

func newEvent(organization string) (alotwebhook.Event, error) {
	return alotwebhook.NewEvent(eventType, organization, map[string]any{"sessionId": "sess_123", "score": 82})
}

// emit emits events to the healthy organizations, in turns. It returns when the call of each
// began, by event.
func (c *crowd) emit(ctx context.Context, seconds int) (map[string]time.Time, error) {
	emitted := map[string]time.Time{}
	ticker := time.NewTicker(time.Second / perSecond)
	defer ticker.Stop()
	for i := range seconds * perSecond {
		event, err := newEvent(fmt.Sprintf("healthy-%d", i%healthy))
		if err != nil {
			return nil, err
		}
		emitted[event.ID] = time.Now()
		if err := c.dispatcher.Emit(ctx, event); err != nil {
			return nil, err
		}
		select {
		case <-ticker.C:
		case err := <-c.ended:
			return nil, errors.Join(errors.New("the dispatcher ended"), err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	time.Sleep(settle)
	return emitted, nil
}

// close ends the dispatcher, which gives back what is under way, and the receivers.
func (c *crowd) close() {
	c.stop()
	<-c.ended
	for _, s := range c.servers {
		_ = s.Close()
	}
}
