package wire_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/certtest"
	"github.com/alot/alotwebhook/internal/wire"
)

// withoutMasterSecret is a connection on which the client does not ask for the extended master
// secret, so that the server does not offer it. A server of crypto/tls cannot be told to.
type withoutMasterSecret struct{ net.Conn }

func (c withoutMasterSecret) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	copy(p[:n], bytes.Replace(p[:n], []byte{0, 23, 0, 0}, []byte{0xff, 23, 0, 0}, 1))
	return n, err
}

// The client is a process of its own: the mode cannot be changed while one runs.
func TestFIPSNeedsTheExtendedMasterSecret(t *testing.T) {
	t.Parallel()
	if url := os.Getenv("ALOTWEBHOOK_TEST_FIPS"); url != "" {
		transport := newTransport(t, func(c *wire.Config) {
			der, err := base64.StdEncoding.DecodeString(os.Getenv("ALOTWEBHOOK_TEST_ROOT"))
			require.NoError(t, err)
			root, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			c.RootCAs = x509.NewCertPool()
			c.RootCAs.AddCert(root)
		})
		r := post(t, transport, url, 300)
		kind, detail := wire.Explain(r.err)
		require.Equal(t, wire.TLS, kind, r.err)
		require.Contains(t, detail, "FIPS 140-3", r.err)
		require.Contains(t, wire.Advice(detail), "TLS 1.3")
		return
	}
	root := certtest.Issue(t, "root", nil, certtest.Authority)
	config := certtest.Issue(t, "good", root, nil).Server()
	config.MaxVersion = tls.VersionTLS12
	s := serveRaw(t, false, func(_ int64, conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_ = tls.Server(withoutMasterSecret{conn}, config).Handshake()
	})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPSNeedsTheExtendedMasterSecret$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=on", "ALOTWEBHOOK_TEST_FIPS=https"+s.url[len("http"):],
		"ALOTWEBHOOK_TEST_ROOT="+base64.StdEncoding.EncodeToString(root.Leaf.Raw))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: TestFIPSNeedsTheExtendedMasterSecret")
}
