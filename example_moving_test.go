package alotwebhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// oldHeaders gives each request the headers that receivers of the sender before look for, too.
type oldHeaders struct{ next http.RoundTripper }

func (o oldHeaders) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for _, part := range []string{"Id", "Timestamp", "Signature"} { // Svix's own names; needs Config.StandardWebhooks
		r.Header.Set("Svix-"+part, r.Header.Get("Webhook-"+part))
	}
	// Convoy's simple signature with SHA256 and hex is ours without the prefix.
	r.Header.Set("X-Convoy-Signature", strings.TrimPrefix(r.Header.Get(alotwebhook.SignatureHeader), "sha256="))
	return o.next.RoundTrip(r)
}

// Receivers of another sender go on verifying with the secret that they have: docs/moving.md.
func ExampleConfig_wrapTransport() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	arrived := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key, _ := base64.StdEncoding.DecodeString("bm90IGEgc2VjcmV0LCBidXQgYW4gZXhhbXBsZSBvZiBpdA==")
		svix := hmac.New(sha256.New, key)
		fmt.Fprintf(svix, "%s.%s.%s", r.Header.Get("svix-id"), r.Header.Get("svix-timestamp"), body)
		convoy := hmac.New(sha256.New, []byte("whsec_bm90IGEgc2VjcmV0LCBidXQgYW4gZXhhbXBsZSBvZiBpdA=="))
		convoy.Write(body)
		arrived <- fmt.Sprintln("Svix:", r.Header.Get("svix-signature") == "v1,"+base64.StdEncoding.EncodeToString(svix.Sum(nil))) +
			fmt.Sprint("Convoy: ", r.Header.Get("X-Convoy-Signature") == hex.EncodeToString(convoy.Sum(nil)))
	}))
	defer receiver.Close()

	dispatcher, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		StandardWebhooks: true,
		WrapTransport:    func(next http.RoundTripper) http.RoundTripper { return oldHeaders{next} },
		AllowHTTP:        true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, // this example's receiver
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: receiver.URL, EventTypes: []string{alotwebhook.EventCandidateInvited},
		Secret: "whsec_bm90IGEgc2VjcmV0LCBidXQgYW4gZXhhbXBsZSBvZiBpdA==", // which Svix or Convoy signed with before
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- dispatcher.Run(ctx) }()
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, "org_123", map[string]string{"sessionId": "sess_123"})
	if err == nil {
		err = dispatcher.Emit(ctx, event)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-arrived)
	stop()
	<-ended
	// Output:
	// Svix: true
	// Convoy: true
}
