package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
)

// receiverVariable is the environment variable that makes this program the receiver. The
// receiver is a process of its own, so that its work does not count for any contender.
const receiverVariable = "ALOTWEBHOOK_BENCH_RECEIVER"

func isReceiver() bool { return os.Getenv(receiverVariable) != "" }

// receive prints its address and serves on loopback until stdin ends. That happens when the
// parent process ends, even by a crash.
func receive(stdin io.Reader, stdout io.Writer) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "deliver: receiver:", err)
		return 1
	}
	var received atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		received.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, received.Load())
	})
	go func() { _ = http.Serve(l, mux) }() // serves until the process ends
	fmt.Fprintln(stdout, l.Addr())
	_, _ = io.Copy(io.Discard, stdin)
	return 0
}

// receiver is the child process that receives.
type receiver struct {
	url   string
	child *exec.Cmd
	stdin io.Closer
}

func startReceiver(ctx context.Context) (*receiver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, self)
	child.Env = append(os.Environ(), receiverVariable+"=1")
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	r := &receiver{child: child, stdin: stdin}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		r.stop()
		return nil, errors.New("the receiver did not start")
	}
	r.url = "http://" + strings.TrimSpace(address)
	return r, nil
}

// stop ends the child and waits for it.
func (r *receiver) stop() {
	r.stdin.Close()
	_ = r.child.Wait() // its exit code does not matter
}

// count returns how many payloads have arrived since the start.
func (r *receiver) count(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/count", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}
