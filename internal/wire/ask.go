package wire

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/alot/alotwebhook/internal/proof"
)

// Ask makes a request whose answer is to be a proof, in the way of [Sender.Send], and ends it with ctx. The
// error is a [proof.Error] if there is a problem with the answer's body, or no answer, and else that of ctx.
func (s Sender) Ask(ctx context.Context, to *url.URL, as *Identity, own, header http.Header, payload []byte, problem func(body string) string) error {
	var all Attempts
	defer context.AfterFunc(ctx, all.CutOff)()
	s.KeepBody, s.MaxBody, s.KeepHeader = proof.MaxAnswer, max(s.MaxBody, proof.MaxAnswer), 0
	r, ok := s.Send(&all, to, as, own, header, payload, time.Now())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !ok:
		return &proof.Error{Detail: "the sender's own proxy does not work at present; try again later"}
	case r.Failure == "":
		r.Detail = problem(r.Body)
	case r.Status != 0:
		r.Detail = "it " + r.Detail
	}
	if r.Failure == "" && r.Detail == "" {
		return nil
	}
	return &proof.Error{Status: r.Status, Detail: r.Detail}
}
