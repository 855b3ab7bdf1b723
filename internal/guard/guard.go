// Package guard keeps requests to customers' URLs away from the host's own network.
// [CheckURL] checks a URL when it is registered. [Guard] checks the IP address when a
// connection is made, and [Guard.Dialer] returns a dialer that uses it.
package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// ErrBlocked means that an address must not be dialled. Its text does not name the
// address: a customer who reads it could otherwise explore the host's network.
var ErrBlocked = errors.New("alotwebhook: address is blocked")

// Refusal is the error of [CheckURL] and [Guard.Check].
type Refusal struct {
	// Field names the input, such as "url" or "AllowNets[1]".
	Field string
	// Problem is the rest of a sentence that begins with the field's name. It says
	// what is wrong and what to write.
	Problem string
	// Blocked is true if the reason is an address. Then the error is an [ErrBlocked].
	Blocked bool
}

func (r *Refusal) Error() string { return r.Field + " " + r.Problem }

// Is makes a Refusal with Blocked an [ErrBlocked].
func (r *Refusal) Is(target error) bool { return r.Blocked && target == ErrBlocked }

// blocked4 holds the parts of IPv4 that are not the public internet. Source: the
// IANA IPv4 special-purpose address registry; 224.0.0.0/3 is multicast and class E.
// 168.63.129.16 is public by its number, but inside Azure it is the control channel
// of the machine itself.
var blocked4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32",
	"169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/3",
)

// global6 is the one part of IPv6 that is assigned to the public internet. blocked6
// holds the parts of it that are not: protocol assignments with Teredo,
// documentation, 6to4 and AS112. Source: the IANA IPv6 special-purpose address
// registry.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	blocked6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)

// nat64 and nat64Local are the prefixes of NAT64: a gateway turns such an address
// into the IPv4 address in its last 32 bits. The meaning of the second prefix is up
// to the local network (RFC 8215).
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
)

// prefixes parses networks in CIDR notation.
func prefixes(cidrs ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(cidrs))
	for i, s := range cidrs {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

// Guard determines the IP addresses that may be dialled. The zero value allows only
// the public internet.
type Guard struct {
	// AllowNets and DenyNets are the operator's networks. An address in DenyNets is
	// blocked, even if it is in AllowNets. An address in AllowNets is allowed, even
	// if it is on the built-in list.
	AllowNets, DenyNets []netip.Prefix
	// AllowNAT64 allows an address under 64:ff9b::/96 if the IPv4 address inside it
	// is allowed. AllowNets has no effect on such an address: it would open every
	// IPv4 address.
	AllowNAT64 bool
	// Own is the address of the host's own proxy, which reaches networks that others do not. It is
	// blocked unless AllowNets has it. The zero Addr is none.
	Own netip.Addr
}

// Check returns a [*Refusal] for the first of AllowNets and DenyNets that would match
// no address.
func (g *Guard) Check() error {
	if err := checkNets("AllowNets", g.AllowNets); err != nil {
		return err
	}
	return checkNets("DenyNets", g.DenyNets)
}

func checkNets(field string, nets []netip.Prefix) error {
	for i, p := range nets {
		field := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case !p.IsValid():
			return &Refusal{Field: field, Problem: "is not a net; make it with netip.ParsePrefix"}
		case p.Addr().Is4In6():
			return &Refusal{Field: field, Problem: "is IPv4 written as IPv6; write " + p.Addr().Unmap().String() + " with its IPv4 prefix length"}
		}
	}
	return nil
}

// Judge returns nil for an address that may be dialled, and [ErrBlocked] for every
// other, the zero [netip.Addr] included.
func (g *Guard) Judge(addr netip.Addr) error {
	if !g.allows(addr) {
		return ErrBlocked
	}
	return nil
}

func (g *Guard) allows(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap() // the dialer does the same
	switch {
	case contains(g.DenyNets, addr), nat64Local.Contains(addr):
		return false
	case nat64.Contains(addr):
		return g.AllowNAT64 && g.allows(embedded4(addr))
	case contains(g.AllowNets, addr):
		return true
	case addr == g.Own:
		return false
	case addr.Is4():
		return !contains(blocked4, addr)
	}
	return global6.Contains(addr) && !contains(blocked6, addr)
}

func contains(nets []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// embedded4 returns the IPv4 address in the last 32 bits of an IPv6 address.
func embedded4(addr netip.Addr) netip.Addr {
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

// Control is the function for [net.Dialer.ControlContext]. It judges each address
// after the name was resolved and right before the connection is made. It is therefore
// of no use to an attacker to change the address of a name after its registration.
func (g *Guard) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return ErrBlocked
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrBlocked
	}
	return g.Judge(ap.Addr())
}

// Dialer returns a dialer that connects only to addresses that the guard allows.
func (g *Guard) Dialer() *net.Dialer { return &net.Dialer{ControlContext: g.Control} }
