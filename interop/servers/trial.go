package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// outcome is what became of the events that a server was sent.
type outcome struct {
	idle      time.Duration // after which the server ends a connection; 0 for at once, negative for not in time
	sent      int
	delivered int // by the dispatcher's word
	lost      int // the receiver never had all of it
	twice     int // the receiver had it more than once
	attempts  int
	repeats   int // of a request within an attempt
	earlySent int
	early     int            // answers that came before the payload was read, and were read
	failures  map[string]int // by reason and detail
}

func (o *outcome) isBad() bool {
	return o.delivered < o.sent || o.lost > 0 || o.twice > 0 || o.early < o.earlySent
}

func (o *outcome) idleText() string {
	switch {
	case o.idle == 0:
		return "at once"
	case o.idle < 0:
		return "over " + patience.String()
	}
	return o.idle.Round(100 * time.Millisecond).String()
}

// payloads are the sizes of payloads in bytes, in turn.
var payloads = []int{300, 3_000, 20_000, 60_000, 200_000}

const (
	// aim is by how much the moment is missed, at most, at which the server ends its connections.
	aim = 30 * time.Millisecond
	// early is how many events are sent to the path that is answered early, and earlyBurst how many at once.
	early, earlyBurst = 150, 30
)

// trial sends events over a line and counts.
func (r *running) trial(ctx context.Context, deliveries, burst int, delay time.Duration) (o outcome, err error) {
	l, err := newLine(r.address(), delay)
	if err != nil {
		return o, err
	}
	defer l.stop()
	address := r.address()
	if delay > 0 {
		address = l.address()
	}
	o.failures = map[string]int{}
	if o.idle, err = r.idleTime(ctx, address); err != nil {
		return o, err
	}
	url := r.scheme() + "://" + address
	if err := r.sendAll(ctx, url+"/", deliveries, burst, delay, &o); err != nil {
		return o, err
	}
	return o, r.sendEarly(ctx, url+"/early", min(early, deliveries), &o)
}

// sendAll sends the events in bursts.
func (r *running) sendAll(ctx context.Context, url string, deliveries, burst int, delay time.Duration, o *outcome) error {
	s, err := r.newSending(ctx, url, alotwebhook.Schedule(50*time.Millisecond, 50*time.Millisecond))
	if err != nil {
		return err
	}
	defer s.stop()
	sizes := map[string]int{}
	for o.sent < deliveries {
		events, err := s.events(o.sent, min(burst, deliveries-o.sent))
		if err != nil {
			return err
		}
		for _, event := range events {
			sizes[alotwebhook.DeliveryID(event.ID, s.endpoint.ID)] = len(event.Payload())
		}
		o.sent += len(events)
		began := time.Now()
		if err := s.emit(ctx, events, o.count); err != nil {
			return err
		}
		if o.idle > 0 && o.sent < deliveries { // each connection is idle since another moment of the burst
			pause(ctx, o.idle-delay-aim+rand.N(2*aim)-rand.N(time.Since(began)))
		}
	}
	times, err := received(r.Log, sizes)
	if err != nil {
		return err
	}
	for id := range sizes {
		switch n := times[id]; {
		case n == 0:
			o.lost++
		case n > 1:
			o.twice++
		}
	}
	return nil
}

// count counts an attempt.
func (o *outcome) count(a alotwebhook.AttemptInfo) {
	o.attempts++
	if a.State == alotwebhook.StateDelivered {
		o.delivered++
	}
	if strings.Contains(a.Attempt.Detail, "the request was repeated") {
		o.repeats++
	}
	if a.Attempt.Reason != "" {
		o.failures[fmt.Sprintf("%s, %s", a.Attempt.Reason, a.Attempt.Detail)]++
	}
}

// sendEarly sends large events to a path that is answered before they are read.
func (r *running) sendEarly(ctx context.Context, url string, n int, o *outcome) error {
	s, err := r.newSending(ctx, url, alotwebhook.Schedule())
	if err != nil {
		return err
	}
	defer s.stop()
	for o.earlySent < n {
		events, err := s.large(min(earlyBurst, n-o.earlySent))
		if err != nil {
			return err
		}
		o.earlySent += len(events)
		err = s.emit(ctx, events, func(a alotwebhook.AttemptInfo) {
			if a.Attempt.StatusCode == http.StatusUnauthorized {
				o.early++
			} else {
				o.failures[fmt.Sprintf("early: %s, %s", a.Attempt.Reason, a.Attempt.Detail)]++
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sending is a dispatcher with one endpoint.
type sending struct {
	*alotwebhook.Dispatcher
	endpoint alotwebhook.Endpoint
	attempts chan alotwebhook.AttemptInfo
	cancel   func()
	ended    chan error
}

const organization = "org_1"

func (r *running) newSending(ctx context.Context, url string, retry alotwebhook.RetryPolicy) (_ *sending, err error) {
	s := &sending{attempts: make(chan alotwebhook.AttemptInfo, 10_000), ended: make(chan error, 1)}
	s.Dispatcher, err = alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: r.roots,
		InFlightPerEndpoint: 64, Retry: retry, Logger: slog.New(slog.DiscardHandler),
		Observer: &alotwebhook.Observer{Finished: func(report alotwebhook.FinishReport) {
			for _, a := range report.Attempts {
				s.attempts <- a
			}
		}},
	})
	if err != nil {
		return nil, err
	}
	s.endpoint, err = s.CreateEndpoint(ctx, alotwebhook.Endpoint{OrganizationID: organization, URL: url, EventTypes: []string{alotwebhook.EventCandidateCompleted}})
	if err != nil {
		return nil, err
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go func() { s.ended <- s.Run(ctx) }()
	return s, nil
}

func (s *sending) stop() {
	s.cancel()
	<-s.ended
}

// events makes events of all sizes.
func (s *sending) events(from, n int) ([]alotwebhook.Event, error) {
	list := make([]alotwebhook.Event, n)
	for i := range list {
		var err error
		if list[i], err = newEvent(payloads[(from+i)%len(payloads)]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// large makes events of the largest size.
func (s *sending) large(n int) (list []alotwebhook.Event, err error) {
	for range n {
		event, err := newEvent(slices.Max(payloads))
		if err != nil {
			return nil, err
		}
		list = append(list, event)
	}
	return list, nil
}

// newEvent makes an event whose payload has a size, if that is not too little.
func newEvent(size int) (alotwebhook.Event, error) {
	empty, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, map[string]string{"text": ""})
	if err != nil {
		return empty, err
	}
	text := strings.Repeat("x", max(0, size-len(empty.Payload())))
	return alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, map[string]string{"text": text})
}

// emit emits events and waits until each is delivered or given up.
func (s *sending) emit(ctx context.Context, events []alotwebhook.Event, each func(alotwebhook.AttemptInfo)) error {
	if err := s.Emit(ctx, events...); err != nil {
		return err
	}
	for left := len(events); left > 0; {
		select {
		case a := <-s.attempts:
			each(a)
			if a.State != alotwebhook.StatePending {
				left--
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// idleTime finds out after which time the server ends a connection without a request: the middle one of
// several.
func (r *running) idleTime(ctx context.Context, address string) (time.Duration, error) {
	const probes = 5
	type answer struct {
		idle time.Duration
		err  error
	}
	answers := make(chan answer, probes)
	for range probes {
		go func() {
			idle, err := r.probe(ctx, address)
			answers <- answer{idle, err}
		}()
	}
	var times []time.Duration
	for range probes {
		a := <-answers
		if a.err != nil {
			return 0, fmt.Errorf("to find out how long connections are kept: %w", a.err)
		}
		times = append(times, a.idle)
	}
	slices.Sort(times)
	switch idle := times[probes/2]; {
	case idle < 100*time.Millisecond:
		return 0, nil
	default:
		return idle, nil
	}
}

// probe makes a request and waits for the end of its connection. It is negative if that does not come.
func (r *running) probe(ctx context.Context, address string) (time.Duration, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if r.TLS {
		conn = tls.Client(conn, &tls.Config{RootCAs: r.roots, ServerName: "127.0.0.1"})
	}
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: receiver.test\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
		return 0, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	began := time.Now()
	_ = conn.SetDeadline(began.Add(patience))
	if _, err := in.ReadByte(); errors.Is(err, os.ErrDeadlineExceeded) {
		return -1, nil
	}
	return time.Since(began), nil
}
