package main_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"code.dny.dev/ssrf"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// stricter is an address that our guard blocks and the other allows: Azure's control channel,
// which no registry lists.
var stricter = netip.MustParseAddr("168.63.129.16")

// judges compares our dial guard with an independent one.
type judges struct{ theirs *ssrf.Guardian }

// agree requires that both guards judge an address alike. The dialer gives them the address
// unmapped. It returns whether the address is allowed.
func (j judges) agree(t *testing.T, addr netip.Addr) (allowed bool) {
	addr = addr.Unmap()
	network := "tcp6"
	if addr.Is4() {
		network = "tcp4"
	}
	theirs := j.theirs.Safe(network, netip.AddrPortFrom(addr, 443).String(), nil)
	ours := alotwebhook.AllowedAddress(addr)
	if addr == stricter {
		require.NoError(t, theirs)
		require.Error(t, ours)
		return false
	}
	if (theirs == nil) != (ours == nil) {
		require.FailNow(t, "the guards differ", "%v: theirs says %v, ours %v", addr, theirs, ours)
	}
	return ours == nil
}

func TestGuardAgreesWithOracle(t *testing.T) {
	t.Parallel()
	j := judges{ssrf.New()}
	j.agree(t, stricter)
	allowed, total := 0, 0
	for addr := range samples(t) {
		total++
		if j.agree(t, addr) {
			allowed++
		}
	}
	t.Logf("%d addresses, %d of them allowed by both", total, allowed)
	require.NotZero(t, allowed)
	require.Less(t, allowed, total)
}

// samples yields the addresses on both sides of every boundary that either guard knows, a sweep
// over IPv4, and random addresses. Half of the random IPv6 addresses are close to a boundary.
func samples(t *testing.T) func(yield func(netip.Addr) bool) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	nets := slices.Concat(ssrf.IPv4DeniedPrefixes, ssrf.IPv6DeniedPrefixes, []netip.Prefix{
		ssrf.IPv6GlobalUnicast, ssrf.IPv6NAT64Prefix, netip.PrefixFrom(stricter, 32),
		netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("::/96"), netip.MustParsePrefix("::ffff:0:0:0/96"),
		netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("5f00::/16"), netip.MustParsePrefix("fc00::/7"),
		netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("ff00::/8"),
	})
	return func(yield func(netip.Addr) bool) {
		for _, p := range nets {
			first, last := p.Masked().Addr(), lastOf(p)
			for _, addr := range []netip.Addr{first.Prev(), first, first.Next(), last.Prev(), last, last.Next()} {
				if addr.IsValid() && !yield(addr) {
					return
				}
			}
		}
		for i := range 1 << 16 { // one random address in every /16
			if !yield(addr4(uint32(i)<<16 | random.Uint32N(1<<16))) {
				return
			}
		}
		for range 50_000 {
			near := nets[random.IntN(len(nets))].Masked().Addr()
			if !yield(addr4(random.Uint32())) || !yield(addr6(random, netip.IPv6Unspecified(), 0)) || !yield(addr6(random, near, random.IntN(12))) {
				return
			}
		}
	}
}

// lastOf returns the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

func addr4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// addr6 returns an address with the first bytes of addr and random others.
func addr6(random *rand.Rand, addr netip.Addr, keep int) netip.Addr {
	b := addr.As16()
	for i := keep; i < len(b); i++ {
		b[i] = byte(random.Uint32())
	}
	return netip.AddrFrom16(b)
}
