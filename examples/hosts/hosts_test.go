package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// childVariable makes the test's own binary the program.
const childVariable = "HOSTS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		os.Exit(0)
	}
	postgrestest.Main(m)
}

// receiver counts what it gets, by the id of the event.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  map[string]int
	more chan struct{} // holds something whenever got has grown
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{got: map[string]int{}, more: make(chan struct{}, 1)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		event, err := alotwebhook.ParseEvent(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.got[event.ID]++
		r.mu.Unlock()
		select {
		case r.more <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// await waits until all of these have come.
func (r *receiver) await(t *testing.T, ids []string) {
	t.Helper()
	lastResort := time.After(5 * time.Minute)
	for {
		missing := 0
		r.mu.Lock()
		for _, id := range ids {
			if r.got[id] == 0 {
				missing++
			}
		}
		r.mu.Unlock()
		if missing == 0 {
			return
		}
		select {
		case <-r.more:
		case <-lastResort:
			require.Fail(t, "events did not come", "%d of %d", missing, len(ids))
		}
	}
}

// process is the program at work.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Scanner
	stderr bytes.Buffer

	committed, rolledBack []string
}

// launch starts the program and waits until it has begun to complete candidates.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), childVariable+"=1", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.stdout = bufio.NewScanner(stdout)
	require.NoError(t, p.cmd.Start())
	require.Equal(t, "ready", p.line(t))
	return p
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.stdout.Scan() {
		_ = p.cmd.Wait()
		require.Fail(t, "the program ended", p.stderr.String())
	}
	return p.stdout.Text()
}

// works reads what the program says until it has completed all candidates.
func (p *process) works(t *testing.T) {
	t.Helper()
	for len(p.rolledBack) == 0 {
		line := p.line(t)
		if id, ok := strings.CutPrefix(line, "committed "); ok {
			p.committed = append(p.committed, id)
		} else {
			id, why, ok := strings.Cut(strings.TrimPrefix(line, "rolled back "), ": ")
			require.True(t, ok, "%q; %s", line, &p.stderr)
			require.Equal(t, errScore.Error(), why)
			p.rolledBack = append(p.rolledBack, id)
		}
	}
}

// stop ends the program as a deployment does; it must end well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait(), "%s", &p.stderr)
}

// Two processes of each host: what was committed is received once, what was
// rolled back never was.
func TestHosts(t *testing.T) {
	t.Parallel()
	for name := range hosts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := filepath.Join(t.TempDir(), "app.db")
			if name != "gorm-sqlite" {
				database = newDatabase(t, name)
			}
			r := newReceiver(t)
			args := []string{"-host", name, "-database", database, "-candidates", "50"}
			one := launch(t, append(args, "-endpoint", r.URL)...)
			two := launch(t, args...) // the endpoint is in the database
			var ids []string
			for _, p := range []*process{one, two} {
				p.works(t)
				require.Len(t, p.committed, 50)
				ids = append(ids, p.committed...)
			}
			r.await(t, ids)
			one.stop(t)
			two.stop(t)
			require.Len(t, r.got, len(ids), "nothing but what was committed")
			for id, n := range r.got {
				require.Equal(t, 1, n, id)
			}
			requireRolledBack(t, name, database, ids, append(one.rolledBack, two.rolledBack...))
		})
	}
}

// requireRolledBack: of the events that were emitted those exist whose
// transactions were committed, beside as many candidates.
func requireRolledBack(t *testing.T, name, database string, committed, rolledBack []string) {
	t.Helper()
	h, err := hosts[name](t.Context(), database)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.close()) }()
	for _, id := range committed {
		_, err := h.store().Event(t.Context(), id)
		require.NoError(t, err)
	}
	for _, id := range rolledBack {
		_, err := h.store().Event(t.Context(), id)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	}
	var rows int
	if h, ok := h.(*gormSQLiteHost); ok {
		require.NoError(t, h.handle.QueryRow("SELECT count(*) FROM candidates").Scan(&rows))
	} else {
		pool := postgrestest.PoolAt(t, database)
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM candidates").Scan(&rows))
	}
	require.Equal(t, len(committed), rows)
}

// newDatabase makes a database of the test's own and returns how to connect to it.
func newDatabase(t *testing.T, name string) string {
	t.Helper()
	pool := postgrestest.Pool(t)
	name = fmt.Sprintf("hosts_%s_%d", name, os.Getpid())
	_, err := pool.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = pool.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
	c := pool.Config().ConnConfig
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", c.User, c.Password, c.Host, c.Port, name)
}
