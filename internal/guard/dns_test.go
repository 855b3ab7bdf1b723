package guard_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeDNS is a DNS server that answers from a table in memory, over net.Pipe.
type fakeDNS struct {
	// zone holds, for each name, the records of each look-up in turn. The last ones
	// answer all further look-ups.
	zone map[string][]string

	mu      sync.Mutex
	lookups map[string]int // how often each name was looked up: the questions for A
}

// loadDNS reads a table with one name on each line, a tab, and the records of the name:
// "A addr", "AAAA addr" or "CNAME name", with commas between. The records may also be
// "SEQ r1|r2": r1 answers the first look-up, and r2 all later ones.
func loadDNS(t testing.TB, path string) *fakeDNS {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	zone := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		name, records, ok := strings.Cut(strings.TrimSpace(line), "\t")
		require.True(t, ok, line)
		sequence, isSequence := strings.CutPrefix(records, "SEQ ")
		if isSequence {
			zone[name] = strings.Split(sequence, "|")
		} else {
			zone[name] = []string{records}
		}
	}
	return newDNS(zone)
}

func newDNS(zone map[string][]string) *fakeDNS {
	return &fakeDNS{zone: zone, lookups: map[string]int{}}
}

func (f *fakeDNS) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe() // no packet connection, so the resolver speaks DNS over TCP
		go f.serve(server)
		return client, nil
	}}
}

// serve answers the questions that come over a connection.
func (f *fakeDNS) serve(conn net.Conn) {
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
		answer := f.answer(query)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

const (
	typeA     = 1
	typeCNAME = 5
	typeAAAA  = 28
)

// answer returns the DNS message (RFC 1035) that answers a query with one question.
func (f *fakeDNS) answer(query []byte) []byte {
	const headerLen = 12
	name, end := "", headerLen
	for query[end] != 0 {
		n := int(query[end])
		name += string(query[end+1:end+1+n]) + "."
		end += 1 + n
	}
	question := query[headerLen : end+5]
	qtype := binary.BigEndian.Uint16(query[end+1:])

	answers, found := f.records(strings.ToLower(strings.TrimSuffix(name, ".")), qtype)
	flags := uint16(0x8180) // an answer, recursion desired and available
	if !found {
		flags |= 3 // no such name
	}
	msg := append([]byte(nil), query[:2]...)
	for _, field := range []uint16{flags, 1, uint16(len(answers)), 0, 0} {
		msg = binary.BigEndian.AppendUint16(msg, field)
	}
	msg = append(msg, question...)
	for _, a := range answers {
		msg = append(msg, a...)
	}
	return msg
}

// records returns the resource records of a type for a name, and follows CNAMEs.
func (f *fakeDNS) records(name string, qtype uint16) (answers [][]byte, found bool) {
	for _, record := range f.next(name, qtype) {
		found = true
		kind, value, _ := strings.Cut(record, " ")
		switch {
		case kind == "A" && qtype == typeA, kind == "AAAA" && qtype == typeAAAA:
			answers = append(answers, resourceRecord(name, qtype, netip.MustParseAddr(value).AsSlice()))
		case kind == "CNAME":
			answers = append(answers, resourceRecord(name, typeCNAME, wireName(value)))
			more, _ := f.records(value, qtype)
			answers = append(answers, more...)
		}
	}
	return answers, found
}

// next returns the records of a name for this look-up, as the table spells them.
func (f *fakeDNS) next(name string, qtype uint16) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	sequence := f.zone[name]
	i := f.lookups[name]
	if qtype == typeA {
		f.lookups[name]++
	}
	if len(sequence) == 0 {
		return nil
	}
	return strings.Split(sequence[min(i, len(sequence)-1)], ",")
}

func resourceRecord(name string, rtype uint16, data []byte) []byte {
	rr := wireName(name)
	rr = binary.BigEndian.AppendUint16(rr, rtype)
	rr = append(rr, 0, 1, 0, 0, 0, 0) // class IN, TTL 0
	rr = binary.BigEndian.AppendUint16(rr, uint16(len(data)))
	return append(rr, data...)
}

// wireName encodes a name as a DNS message has it.
func wireName(name string) []byte {
	var b []byte
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}
