package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/wire"
)

// Each kind is found behind whatever wraps the error, and no sentence has an address.
func TestExplain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want wire.Failure
	}{
		{guard.ErrBlocked, wire.BlockedAddress},
		{&net.DNSError{Err: "no such host", Name: "10.9.8.7", IsNotFound: true}, wire.DNS},
		{&net.DNSError{Err: "server misbehaving", Server: "10.9.8.7:53"}, wire.DNS},
		{context.DeadlineExceeded, wire.Timeout},
		{&net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7)}, Err: syscall.ECONNREFUSED}, wire.ConnectionRefused},
		{wire.ErrClientCertificate, wire.TLS},
		{egress.ErrNoRoute, wire.NoRoute},
		{&net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7)}, Err: syscall.EHOSTUNREACH}, wire.Network},
		{wire.ErrHeaderTooLarge, wire.ResponseTooLarge},
		{errors.New(`malformed HTTP response "10.9.8.7"`), wire.Protocol},
		{syscall.ECONNRESET, wire.ConnectionReset},
		{io.ErrUnexpectedEOF, wire.ConnectionReset},
		{errors.New("read tcp 10.9.8.7:443: something new"), wire.Network},
	} {
		kind, detail := wire.Explain(fmt.Errorf("post: %w", c.err))
		require.Equal(t, c.want, kind, c.err)
		require.NotEmpty(t, detail)
		require.NotContains(t, detail, "10.9.8.7")
	}
}
