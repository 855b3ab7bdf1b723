//go:build !unix

package wire

import "net"

// quiet cannot be told here: the end of a connection shows itself to the next request.
type quiet struct{}

func newQuiet(net.Conn) *quiet { return nil }

func (*quiet) is() bool { return true }
