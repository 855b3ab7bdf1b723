package wire

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/text"
)

// bodyPatience bounds the wait for the end of a response's body. The status has come by
// then; the body matters to the connection, and to those who keep its beginning.
const bodyPatience = 2 * time.Second

// readBody reads a response's body and closes it. It reads to the end, so that the
// connection can be used again, or up to most bytes, or until it gives up after 2 seconds.
// It returns the first keep bytes, without what is hidden, as text that every store takes. whole is false if the
// body broke off or did not end in time: no failure, since the status says whether the
// request was received. A body longer than most counts as whole.
func readBody(resp *http.Response, keep, most int, hidden mask, giveUp func()) (kept string, whole bool) {
	defer resp.Body.Close()
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		return "", true
	}
	timer := time.AfterFunc(bodyPatience, giveUp)
	defer timer.Stop()
	var beginning strings.Builder
	var err error
	if keep > 0 {
		_, err = io.CopyN(&beginning, resp.Body, int64(keep))
	}
	kept = beginning.String()
	if err == io.EOF {
		kept = hidden.of(kept)
	} else {
		kept = hidden.ofBeginning(kept)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, resp.Body, int64(most-beginning.Len())+1)
	}
	return text.Storable(kept), err == nil || err == io.EOF
}
