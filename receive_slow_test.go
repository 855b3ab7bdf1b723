package alotwebhook_test

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Ten thousand clients send a part of their bodies and then stop. Their connections must
// take little memory, and their large bodies no more than MaxBodyMemory. Honest events must
// get through all the same, a small one and a large one.
func TestReceiverUnderManySlowClients(t *testing.T) {
	if !alone(t) { // it reads what the whole process holds
		return
	}
	clients := 10_000
	if raceEnabled {
		clients = 1000 // the race detector needs memory for every goroutine
	}
	const memory = 16 << 20
	d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyMemory: memory, BodyTimeout: -1}) // no body times out during the test
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	slow := &slowClients{t: t, pipes: servePipes(t, d), conns: make([]net.Conn, clients)}
	t.Cleanup(slow.close)

	before := inUse()
	slow.connect()
	held := inUse() - before
	t.Logf("%d clients are slow, %d more were refused; they hold %d MiB, %d KiB each",
		slow.waiting.Load(), slow.refused.Load(), held>>20, held>>10/int64(clients))
	require.EqualValues(t, clients, slow.waiting.Load()+slow.refused.Load())
	require.GreaterOrEqual(t, int(slow.waiting.Load()), clients*9/10, "no small body may be refused")
	require.GreaterOrEqual(t, slow.large.Load(), int64(memory/(256<<10)/2), "large bodies must use the room that there is")
	if !raceEnabled {
		// Each connection has two goroutines in the client and one in the server,
		// two buffers of net/http of 4 KiB each, and one of bodybuf of 4 KiB.
		require.Less(t, held, int64(memory+clients*(48<<10)))
	}

	for i, body := range []string{payload, with("data", `"`+strings.Repeat("x", 200<<10)+`"`)} {
		conn, err := slow.pipes.dial()
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, head(body, len(body))+body)
		require.NoError(t, err)
		resp, err := responseOn(conn)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Len(t, d.handled, i+1)
	}
}

// slowClients are the clients, and counts of how their requests went.
type slowClients struct {
	t     *testing.T
	pipes *pipes
	conns []net.Conn

	waiting, large, refused atomic.Int64
}

// connect connects all clients. It returns once each has sent its part or was refused.
func (s *slowClients) connect() {
	small := head("forged", 4<<10) + strings.Repeat("x", 3<<10)
	large := head("forged", 200<<10) + strings.Repeat("x", 100<<10) // large enough that net/http would not read all of a refused body
	var next atomic.Int64
	var group sync.WaitGroup
	for range 64 { // this many connect at the same time, and all stay connected
		group.Go(func() {
			for n := next.Add(1); n <= int64(len(s.conns)); n = next.Add(1) {
				conn, err := s.pipes.dial()
				if err != nil {
					s.t.Error(err)
					return
				}
				s.conns[n-1] = conn
				switch isLarge := n%10 == 0; {
				case !isLarge && s.send(conn, small):
				case isLarge && s.send(conn, large):
					s.large.Add(1)
				}
			}
		})
	}
	group.Wait()
}

// send sends the beginning of a request. It returns false if the response says that there
// is no room for the body.
func (s *slowClients) send(conn net.Conn, request string) (sent bool) {
	written := make(chan struct{})
	go func() {
		if _, err := io.WriteString(conn, request); err == nil {
			close(written)
		}
	}()
	heard := make(chan *http.Response, 1)
	go func() {
		if resp, err := responseOn(conn); err == nil {
			heard <- resp
		}
	}()
	select {
	case <-written:
		s.waiting.Add(1)
		return true
	case resp := <-heard:
		if resp.StatusCode != http.StatusServiceUnavailable {
			s.t.Errorf("refused with %s", resp.Status)
		}
		s.refused.Add(1)
		return false
	}
}

func (s *slowClients) close() {
	for _, conn := range s.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// inUse returns the memory of all reachable values and all stacks, in bytes.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // a sync.Pool keeps its values over the first collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
