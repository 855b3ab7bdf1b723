package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// customer is one endpoint, with the behaviour of the program behind it.
type customer struct {
	name         string
	organization string
	eventTypes   []string
	behaves      string
	handle       func(ctx context.Context, event alotwebhook.Event) error
}

// secret returns the secret that both sides know. In a real product, the dispatcher makes
// it and shows it to the customer once. Here it must be the same in the next run.
func (c customer) secret() alotwebhook.Secret {
	return alotwebhook.Secret("quickstart secret of " + c.name)
}

func customers() []customer {
	return []customer{{
		name: "ats", organization: "org_acme", behaves: "responds with 200",
		eventTypes: []string{
			alotwebhook.EventCandidateInvited, alotwebhook.EventCandidateCompleted,
			alotwebhook.EventCandidateDisqualified, alotwebhook.EventAssessmentPublished,
		},
		handle: func(context.Context, alotwebhook.Event) error { return nil },
	}, {
		name: "crm", organization: "org_acme", behaves: "fails twice, then succeeds",
		eventTypes: []string{alotwebhook.EventCandidateCompleted, alotwebhook.EventCandidateDisqualified},
		handle:     failTwice,
	}, {
		name: "analytics", organization: "org_globex", behaves: "never responds",
		eventTypes: []string{alotwebhook.EventCandidateCompleted},
		handle:     hang,
	}}
}

var errDatabaseDown = errors.New("the customer's database is down")

// failTwice fails the first two attempts of every delivery.
func failTwice(ctx context.Context, _ alotwebhook.Event) error {
	if attempt := ctx.Value(attemptKey{}); attempt == "1" || attempt == "2" {
		return errDatabaseDown
	}
	return nil
}

type attemptKey struct{}

// withAttempt gives a handler the attempt's number from its header. The header is not
// signed: use it for a demonstration or a log, but not for a decision that matters.
func withAttempt(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempt := r.Header.Get(alotwebhook.AttemptHeader)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), attemptKey{}, attempt)))
	})
}

// hang waits until the sender gives up.
func hang(ctx context.Context, _ alotwebhook.Event) error {
	<-ctx.Done()
	return ctx.Err()
}

// receivers is the customers' side: one server, with a path for each customer.
type receivers struct {
	url    string
	server *http.Server
}

func startReceivers(out *output) (*receivers, error) {
	mux := http.NewServeMux()
	for _, c := range customers() {
		handler, err := c.receiver(out)
		if err != nil {
			return nil, err
		}
		mux.Handle("POST /"+c.name, withAttempt(handler))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receivers{
		url:    "http://" + listener.Addr().String(),
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)},
	}
	go func() { _ = r.server.Serve(listener) }() // returns after close
	return r, nil
}

// close waits a second for the last requests to end, and then cuts off the others.
func (r *receivers) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.server.Shutdown(ctx)
	_ = r.server.Close()
}

// receiver returns a customer's handler. A customer needs no more than this: a verifier with
// the secret, and a handler for each event type.
func (c customer) receiver(out *output) (http.Handler, error) {
	verifier, err := alotwebhook.NewVerifier(c.secret())
	if err != nil {
		return nil, err
	}
	r := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)})
	for _, eventType := range c.eventTypes {
		alotwebhook.On(r, eventType, func(ctx context.Context, event alotwebhook.Event, data subject) error {
			err := c.handle(ctx, event)
			out.event("%-9s  %-22s  %s", c.name, event.Type, verdict(data, err))
			return err
		})
	}
	return r, nil
}

// subject has the fields of the data that these customers need. Types with all published
// fields, such as alotwebhook.CandidateCompleted, are there, too.
type subject struct {
	CandidateName string `json:"candidateName"`
	AssessmentID  string `json:"assessmentId"`
}

func verdict(data subject, err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "verified, but no response: the sender gave up"
	case err != nil:
		return fmt.Sprintf("verified, but failed: %v", err)
	case data.CandidateName != "":
		return "verified and handled: " + data.CandidateName
	}
	return "verified and handled: " + data.AssessmentID
}

// forge posts an event as somebody without the secret could, and returns the status.
func (r *receivers) forge(ctx context.Context) (status string, err error) {
	event, err := newEvent(alotwebhook.EventCandidateCompleted, "org_acme")
	if err != nil {
		return "", err
	}
	body := event.Payload()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/ats", strings.NewReader(string(body)))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign(body, "a guess"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	return res.Status, nil
}
