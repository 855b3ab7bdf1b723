package webhookclient_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/webhookclient"
)

// The body of a 101 is the connection, which neither a deadline nor the end of a context closes.
func TestSwitchingProtocolsIsNoAnswer(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close() //nolint:errcheck // nothing depends on it
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		<-done
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(done) }) // before the server waits for its handlers
	client, err := webhookclient.New(server.URL, nil)
	require.NoError(t, err)
	_, err = client.Endpoint(t.Context(), "wh_01h455vb4pex5vsknk084sn02q")
	require.ErrorContains(t, err, "101 Switching Protocols: the response is none of the API; is its URL right?")
}
