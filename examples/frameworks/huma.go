package frameworks

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/alot/alotwebhook"
)

// delivery is the input of the operation. A field for the signature would have room for one value, and would so
// hide a second one: Resolve takes all headers as they are.
type delivery struct {
	RawBody []byte
	header  http.Header
}

// Resolve implements [huma.Resolver].
func (d *delivery) Resolve(ctx huma.Context) []error {
	d.header = http.Header{}
	ctx.EachHeader(d.header.Add)
	return nil
}

// reply is the output of the operation. A challenge is answered in its body.
type reply struct {
	Status      int
	ContentType string `header:"Content-Type"`
	RetryAfter  string `header:"Retry-After"`
	Body        []byte
}

// Huma mounts a Receiver as an operation of huma, so that the service's OpenAPI document has it. If it need not
// have it, mount the Receiver on the mux beside huma.
func Huma(r *alotwebhook.Receiver) http.Handler {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("Webhooks", "1.0.0"))
	huma.Register(api, huma.Operation{
		OperationID:  "alot-webhook",
		Method:       http.MethodPost,
		Path:         Path,
		MaxBodyBytes: alotwebhook.DefaultMaxBodyBytes,
	}, func(ctx context.Context, d *delivery) (*reply, error) {
		w := receive(ctx, r, envelope{method: http.MethodPost, multi: d.header, body: string(d.RawBody)})
		return &reply{w.status, w.header.Get("Content-Type"), w.header.Get("Retry-After"), w.Bytes()}, nil
	})
	return mux
}
