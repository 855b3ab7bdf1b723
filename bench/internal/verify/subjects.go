package verify

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v90/github"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stripe/stripe-go/v85/webhook"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/alot/alotwebhook"
)

// part says in which of the two tables a subject is.
type part int

const (
	verifying part = iota // verifies a body in memory
	receiving             // reads an *http.Request and returns an event
)

// subject is one way to verify a body whose signature it knows.
type subject struct {
	name string
	part part
	body []byte
	call func(body []byte) error
}

// check checks that the subject accepts its body and refuses a changed one.
func (s subject) check() error {
	if err := s.call(s.body); err != nil {
		return fmt.Errorf("refused the good body: %w", err)
	}
	changed := bytes.Clone(s.body)
	changed[len(changed)/2] ^= 1
	if s.call(changed) == nil {
		return errors.New("accepted a changed body")
	}
	return nil
}

const (
	secret  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD2cs="
	eventID = "evt_01jcc7wjz3e4qv8x5k2m9n6p0r"
)

var errRefused = errors.New("refused")

// newSubjects returns all subjects for a body of n bytes. The first is the bare form.
func newSubjects(n int) ([]subject, error) {
	body, err := payload(n)
	if err != nil {
		return nil, err
	}
	all := []subject{{"bare: hmac, hex, hmac.Equal", verifying, body, bare(body)}}
	for _, add := range []func([]byte) ([]subject, error){ours, gitHub, stripe, svixLibrary, standardLibrary} {
		subjects, err := add(body)
		if err != nil {
			return nil, err
		}
		all = append(all, subjects...)
	}
	return all, nil
}

// payload returns the payload of an event, of exactly n bytes.
func payload(n int) ([]byte, error) {
	e := alotwebhook.Event{ID: eventID, Type: alotwebhook.EventCandidateCompleted, Timestamp: time.Now(), OrganizationID: "org_123", Data: json.RawMessage("@")}
	before, after, _ := strings.Cut(string(e.Payload()), "@")
	return fill(n, before, after)
}

// stripePayload returns a payload of exactly n bytes in the envelope that Stripe's library
// expects.
func stripePayload(n int) ([]byte, error) {
	before := fmt.Sprintf(`{"id":%q,"object":"event","type":"candidate.completed","created":%d,"data":{"object":`, eventID, time.Now().Unix())
	return fill(n, before, "}}")
}

// fill returns before and after with data in between, of n bytes together. The data has
// fields of ordinary length.
func fill(n int, before, after string) ([]byte, error) {
	const answer = `,"answer":{"question":"q_1234","text":"what the candidate wrote","points":7.5,"correct":true}`
	before += `{"sessionId":"sess_123","score":82,"status":"COMPLETED"`
	room := n - len(before) - len(after) - len(`,"note":""}`)
	if room < 0 {
		return nil, fmt.Errorf("no payload has %d bytes", n)
	}
	data := strings.Repeat(answer, room/len(answer)) + `,"note":"` + strings.Repeat("x", room%len(answer)) + `"}`
	return []byte(before + data + after), nil
}

// bare returns the form that one would write by hand.
func bare(body []byte) func([]byte) error {
	key, signature := []byte(secret), alotwebhook.Sign(body, secret)
	return func(body []byte) error {
		m := hmac.New(sha256.New, key)
		m.Write(body)
		got, err := hex.DecodeString(strings.TrimPrefix(signature, "sha256="))
		if err != nil || !hmac.Equal(got, m.Sum(nil)) {
			return errRefused
		}
		return nil
	}
}

// request returns a function that makes requests with the same headers.
func request(h http.Header) func(body []byte) *http.Request {
	h.Set("Content-Type", "application/json")
	return func(body []byte) *http.Request {
		return &http.Request{Method: http.MethodPost, Header: h, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
	}
}

func ours(body []byte) ([]subject, error) {
	verifier, err := alotwebhook.NewVerifier(secret)
	if err != nil {
		return nil, err
	}
	standard := verifier.AcceptStandard(&alotwebhook.StandardConfig{Only: true, Tolerance: time.Hour})
	signature := alotwebhook.Sign(body, secret)
	header := standardHeader("webhook", alotwebhook.SignStandard(body, eventID, time.Now(), secret))
	plainRequest := request(http.Header{alotwebhook.SignatureHeader: {signature}})
	standardRequest := request(header.Clone())
	return []subject{
		{"**alotwebhook** `Verify`", verifying, body, func(body []byte) error {
			return alotwebhook.Verify(body, signature, secret)
		}},
		{"**alotwebhook**, Standard Webhooks headers", verifying, body, func(body []byte) error {
			_, err := standard.VerifyHeader(body, header)
			return err
		}},
		{"**alotwebhook** `ParseRequest`, strict", receiving, body, func(body []byte) error {
			_, err := verifier.ParseRequest(plainRequest(body))
			return err
		}},
		{"**alotwebhook**, Standard Webhooks headers, strict", receiving, body, func(body []byte) error {
			_, err := standard.ParseRequest(standardRequest(body))
			return err
		}},
	}, nil
}

// envelope is an event as a receiver would declare it for encoding/json.
type envelope struct {
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	Timestamp      time.Time       `json:"timestamp"`
	OrganizationID string          `json:"organizationId"`
	Data           json.RawMessage `json:"data"`
}

func decode(body []byte) error {
	var e envelope
	return json.Unmarshal(body, &e)
}

func gitHub(body []byte) ([]subject, error) {
	name := version("go-github", "github.com/google/go-github/v90")
	signature, key := alotwebhook.Sign(body, secret), []byte(secret)
	signed := request(http.Header{github.SHA256SignatureHeader: {signature}})
	return []subject{
		{name, verifying, body, func(body []byte) error {
			return github.ValidateSignature(signature, body, key)
		}},
		{name + " `ValidatePayload`, encoding/json", receiving, body, func(body []byte) error {
			payload, err := github.ValidatePayload(signed(body), key)
			if err != nil {
				return err
			}
			return decode(payload)
		}},
	}, nil
}

func stripe(body []byte) ([]subject, error) {
	body, err := stripePayload(len(body))
	if err != nil {
		return nil, err
	}
	name := version("stripe-go", "github.com/stripe/stripe-go/v85")
	signature := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret}).Header
	signed := request(http.Header{"Stripe-Signature": {signature}})
	options := webhook.ConstructEventOptions{Tolerance: time.Hour, IgnoreAPIVersionMismatch: true}
	return []subject{
		{name, verifying, body, func(body []byte) error {
			return webhook.ValidatePayloadWithTolerance(body, signature, secret, time.Hour)
		}},
		{name + " `ConstructEvent`, data decoded", receiving, body, func(body []byte) error {
			r := signed(body)
			read, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			_, err = webhook.ConstructEventWithOptions(read, r.Header.Get("Stripe-Signature"), secret, options)
			return err
		}},
	}, nil
}

func svixLibrary(body []byte) ([]subject, error) {
	library, err := svix.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	return headerLibrary(version("svix", "github.com/svix/svix-webhooks"), "svix", body, library.Sign, library.Verify)
}

func standardLibrary(body []byte) ([]subject, error) {
	library, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	name := version("standard-webhooks", "github.com/standard-webhooks/standard-webhooks/libraries")
	return headerLibrary(name, "webhook", body, library.Sign, library.Verify)
}

// headerLibrary returns the subjects of a library that verifies a body with an http.Header.
func headerLibrary(name, prefix string, body []byte, sign func(string, time.Time, []byte) (string, error), verify func([]byte, http.Header) error) ([]subject, error) {
	signature, err := sign(eventID, time.Now(), body)
	if err != nil {
		return nil, err
	}
	header := standardHeader(prefix, signature)
	signed := request(header.Clone())
	return []subject{
		{name, verifying, body, func(body []byte) error { return verify(body, header) }},
		{name + ", encoding/json", receiving, body, func(body []byte) error {
			r := signed(body)
			read, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			if err := verify(read, r.Header); err != nil {
				return err
			}
			return decode(read)
		}},
	}, nil
}

func standardHeader(prefix, signature string) http.Header {
	h := http.Header{}
	h.Set(prefix+"-id", eventID)
	h.Set(prefix+"-timestamp", strconv.FormatInt(time.Now().Unix(), 10))
	h.Set(prefix+"-signature", signature)
	return h
}
