package proxytest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
)

// Resolver returns a resolver that knows these names, with IPv4 addresses, over net.Pipe.
func Resolver(zone map[string][]string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe() // no packet connection, so the resolver speaks DNS over TCP
		go serveNames(server, zone)
		return client, nil
	}}
}

func serveNames(conn net.Conn, zone map[string][]string) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer := answerTo(query, zone)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answerTo answers a query with one question (RFC 1035).
func answerTo(query []byte, zone map[string][]string) []byte {
	const header, typeA, ok, noName = 12, 1, 0x8180, 0x8183
	var labels []string
	end := header
	for query[end] != 0 {
		n := int(query[end])
		labels = append(labels, string(query[end+1:end+1+n]))
		end += 1 + n
	}
	addresses, found := zone[strings.ToLower(strings.Join(labels, "."))]
	flags := uint16(ok)
	if !found || len(addresses) == 0 {
		flags = noName
	}
	if binary.BigEndian.Uint16(query[end+1:]) != typeA {
		addresses = nil
	}
	msg := append([]byte(nil), query[:2]...)
	for _, field := range []uint16{flags, 1, uint16(len(addresses)), 0, 0} {
		msg = binary.BigEndian.AppendUint16(msg, field)
	}
	msg = append(msg, query[header:end+5]...)
	for _, a := range addresses {
		msg = append(msg, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the name of the question
		msg = append(msg, netip.MustParseAddr(a).AsSlice()...)
	}
	return msg
}
