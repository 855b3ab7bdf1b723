package wire

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/alot/alotwebhook/internal/proof"
)

// ProxyAway is the failure of a request, though of no attempt, when the host's proxy fails.
const ProxyAway Failure = "proxy_unreachable"

// Ask makes a request whose answer is a proof, in the way of [Sender.Send], and ends it with ctx, whose
// error it returns then. A problem with the answer's body is the Detail of a Result without a Failure.
func (s Sender) Ask(ctx context.Context, to *url.URL, as *Identity, header http.Header, payload []byte, problem func(body string) string) (Result, error) {
	var all Attempts
	defer context.AfterFunc(ctx, all.CutOff)()
	s.KeepBody, s.MaxBody, s.KeepHeader = proof.MaxAnswer, max(s.MaxBody, proof.MaxAnswer), 0
	r, ok := s.Send(&all, to, as, header, payload, time.Now())
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case !ok:
		r.Failure, r.Detail = ProxyAway, "the sender's own proxy does not work at present; try again later"
	case r.Failure == "":
		r.Detail = problem(r.Body)
	}
	r.Body = ""
	return r, nil
}
