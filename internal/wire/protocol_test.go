package wire_test

import (
	"bufio"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/wire"
)

// What speaks another protocol is named, where its first bytes tell.
func TestOtherProtocolsAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\x15\x03\x01\x00\x02\x02\x46":         "speaks TLS at this port",
		"\x00\x00\x00\x04\x00\x00\x00\x00\x00": "HTTP/2 alone",
		"SSH-2.0-OpenSSH_9.9\r\n":              "the response is not HTTP",
	} {
		s := serveRaw(t, false, func(_ int64, conn net.Conn) {
			if readRequest(bufio.NewReader(conn)) == nil {
				_, _ = io.WriteString(conn, text)
			}
		})
		kind, detail := wire.Explain(post(t, s.transport(t, nil), s.url, 300).err)
		require.Equal(t, wire.Protocol, kind, "%q", text)
		require.Contains(t, detail, want)
		require.Equal(t, want != "the response is not HTTP", wire.Advice(detail) != "", detail)
	}
}
