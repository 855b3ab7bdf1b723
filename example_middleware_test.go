package alotwebhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

// examplePayload is the body of the requests in the examples.
const examplePayload = `{"id":"evt_01jcc7wjz3e4qv8x5k2m9n6p0r","type":"candidate.completed","timestamp":"2026-05-25T14:23:00.000Z",` +
	`"organizationId":"org_123","data":{"candidateName":"Jane Smith","score":82}}`

// A handler of your own stands behind the receiver's checks. It gets verified requests
// only, with the same bytes in the body, and the event in the context.
func ExampleReceiver_Middleware() {
	verifier, err := alotwebhook.NewVerifier("new-secret", "old-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver := alotwebhook.NewReceiver(verifier, nil)
	handler := receiver.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received, _ := alotwebhook.FromContext(r.Context())
		body, _ := io.ReadAll(r.Body)
		fmt.Println(received.Event.Type, "signed with secret", received.SecretIndex, "in", len(body), "bytes")
		w.WriteHeader(http.StatusOK)
	}))

	r := httptest.NewRequest(http.MethodPost, "/alot/webhook", strings.NewReader(examplePayload))
	r.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign([]byte(examplePayload), "old-secret"))
	handler.ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// candidate.completed signed with secret 1 in 183 bytes
}

// A cloud function gets the request as JSON. Its header names may be in any case, and its
// body may be in base64.
func ExampleReceiver_Receive() {
	verifier, err := alotwebhook.NewVerifier("your-signing-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver := alotwebhook.NewReceiver(verifier, nil)
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(_ context.Context, _ alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
			fmt.Println(data.CandidateName)
			return nil
		})

	type request struct {
		Headers         map[string]string
		Body            string
		IsBase64Encoded bool
	}
	handle := func(ctx context.Context, r request) (status int) {
		header := http.Header{}
		for name, value := range r.Headers {
			header.Add(name, value)
		}
		body := []byte(r.Body)
		if r.IsBase64Encoded {
			if body, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
				return http.StatusBadRequest
			}
		}
		return alotwebhook.StatusCode(receiver.Receive(ctx, body, header))
	}

	var arrived request
	_ = json.Unmarshal([]byte(`{
		"headers": {"content-type": "application/json", "x-alot-signature": "`+alotwebhook.Sign([]byte(examplePayload), "your-signing-secret")+`"},
		"body": "`+base64.StdEncoding.EncodeToString([]byte(examplePayload))+`",
		"isBase64Encoded": true}`), &arrived)
	fmt.Println(handle(context.Background(), arrived))
	// Output:
	// Jane Smith
	// 200
}

// With a Deduper, an event that comes again gets the status 200 and is not handled
// again. This Deduper forgets everything when the process ends; dedupe.NewSQL does not.
func ExampleDeduper() {
	verifier, err := alotwebhook.NewVerifier("your-signing-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{Deduper: dedupe.NewMemory(nil)})
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(_ context.Context, _ alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
			fmt.Println("handling", data.CandidateName)
			return nil
		})
	for range 3 {
		r := httptest.NewRequest(http.MethodPost, "/alot/webhook", strings.NewReader(examplePayload))
		r.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign([]byte(examplePayload), "your-signing-secret"))
		w := httptest.NewRecorder()
		receiver.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// handling Jane Smith
	// 200
	// 200
	// 200
}

// A Receiver bounds the time and the memory that bodies take. The server must bound
// headers and idle connections, for which net/http has no limits by default. Nothing here
// bounds the number of connections: that is up to the system's limit of open files, or to
// a proxy in front. Each connection takes less than 40 KiB.
func ExampleReceiver_server() {
	verifier, err := alotwebhook.NewVerifier("your-signing-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/alot/webhook", alotwebhook.NewReceiver(verifier, nil))
	server := &http.Server{
		Addr:              ":8080",
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,  // for clients that send their headers slowly
		ReadTimeout:       20 * time.Second, // for headers and body; a Receiver's BodyTimeout replaces it for the body
		WriteTimeout:      60 * time.Second, // from the end of the headers to the end of the response; includes the handler
		IdleTimeout:       2 * time.Minute,  // longer than the sender keeps an idle connection, 30 s
		MaxHeaderBytes:    16 << 10,         // the sender's headers are below 1 KiB
	}
	fmt.Println(server.Addr)
	// Output: :8080
}
