package bodybuf

import (
	"net/http"
	"time"
)

// SetDeadline bounds the time for a request's body. It returns an [http.ErrNotSupported] where the writer can set
// no deadline; nil for the recorder of a test, which has no connection that could be slow.
//
// net/http removes the deadline at the end of the body, so that it does not apply to the handler. It keeps the
// deadline while it reads the rest of a body that was refused unread.
func SetDeadline(w http.ResponseWriter, within time.Duration) error {
	if _, recorder := w.(interface{ Result() *http.Response }); recorder {
		return nil
	}
	return http.NewResponseController(w).SetReadDeadline(time.Now().Add(within))
}
