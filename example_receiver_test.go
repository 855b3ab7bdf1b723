package alotwebhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/alot/alotwebhook"
)

// A customer's service receives events. The receiver verifies each request, parses its
// event and calls the handler of the type, whose error decides the status.
func ExampleReceiver() {
	// During a rotation, give NewVerifier the old secret, too.
	verifier, err := alotwebhook.NewVerifier("your-signing-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver := alotwebhook.NewReceiver(verifier, nil)
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(ctx context.Context, e alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
			// The same e.ID may come again: see ReceiverConfig.Deduper.
			fmt.Println(data.CandidateName, "scored", *data.Score)
			return nil
		})

	mux := http.NewServeMux()
	mux.Handle("/alot/webhook", receiver)

	// The first request arrives as it was signed. Somebody changed the second on its way.
	body := `{"id":"evt_01jcc7wjz3e4qv8x5k2m9n6p0r","type":"candidate.completed","timestamp":"2026-05-25T14:23:00.000Z",` +
		`"organizationId":"org_123","data":{"candidateName":"Jane Smith","score":82}}`
	signature := alotwebhook.Sign([]byte(body), "your-signing-secret")
	for _, received := range []string{body, strings.Replace(body, "82", "99", 1)} {
		r := httptest.NewRequest(http.MethodPost, "/alot/webhook", strings.NewReader(received))
		r.Header.Set(alotwebhook.SignatureHeader, signature)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// Jane Smith scored 82
	// 200
	// 401
}
