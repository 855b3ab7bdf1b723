package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// childVariable is the environment variable that makes the test binary run the program.
const childVariable = "MONOLITH_CHILD"

const (
	jwtSecret     = "a secret of the tests' tokens, 32+"
	webhookSecret = alotwebhook.Secret("a secret of the tests' endpoints")
	// patience bounds every wait: a last resort, and no measure of how fast anything is.
	patience = 10 * time.Minute
)

func TestMain(m *testing.M) {
	startTimeout, seedTimeout, drainTimeout = patience, patience, patience // however slow the machine is
	if os.Getenv(childVariable) != "" {
		main()
	}
	postgrestest.Main(m)
}

// process is a running program.
type process struct {
	t      testing.TB
	url    string
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// ownClient has connections of its own. The end of an httptest.Server closes the idle ones of the
// default client, one of which a test beside it may just be using.
var ownClient = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}

// launch starts the program and waits until it listens.
func launch(t testing.TB, args ...string) *process {
	t.Helper()
	p := begin(t, args...)
	p.listening()
	return p
}

// begin starts the program on a free port. It is stopped at the end of the test, and must
// then end without an error.
func begin(t testing.TB, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	p := &process{t: t, cmd: exec.CommandContext(ctx, os.Args[0], append([]string{"-addr", "127.0.0.1:0"}, args...)...)}
	p.cmd.Env = append(os.Environ(), childVariable+"=1", secretVariable+"="+jwtSecret,
		"GORACE=atexit_sleep_ms=0") // otherwise the race detector delays each end by a second
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { p.stop(); cancel() })
	p.stdout = bufio.NewReader(stdout)
	return p
}

// listening waits for the line with the program's URL.
func (p *process) listening() {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		require.NoError(p.t, err, p.stderr.String())
	}
	_, url, found := strings.Cut(strings.TrimSpace(line), "listening on ")
	require.True(p.t, found, line)
	p.url = url
}

func (p *process) terminate() { require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM)) }

// stop terminates the program and waits for its end, unless it has ended already.
func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.terminate()
	p.wait()
}

// wait waits for the program, which must end without an error and must not have logged a
// secret.
func (p *process) wait() {
	err := p.cmd.Wait()
	require.NoError(p.t, err, p.stderr.String())
	for _, secret := range []string{jwtSecret, string(webhookSecret), "eyJhbGciOi", "Jane Smith"} {
		require.NotContains(p.t, p.stderr.String(), secret)
	}
}

// client sends requests for one organization.
type client struct {
	*process
	token string
}

// as returns a client with a token from the program.
func (p *process) as(organization string) client {
	p.t.Helper()
	res, err := ownClient.Get(p.url + "/dev/token?organization=" + organization)
	require.NoError(p.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, res.StatusCode, string(text))
	return client{p, strings.TrimSpace(string(text))}
}

// do sends a request, and returns the status and the decoded body.
func (c client) do(method, path, body string) (int, map[string]any) {
	c.t.Helper()
	r, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := ownClient.Do(r)
	require.NoError(c.t, err)
	defer res.Body.Close()
	var decoded map[string]any
	require.NoError(c.t, json.NewDecoder(res.Body).Decode(&decoded))
	return res.StatusCode, decoded
}

// register registers an endpoint and returns its id.
func (c client) register(url string) string {
	c.t.Helper()
	status, e := c.do("POST", "/v1/webhooks",
		fmt.Sprintf(`{"url":%q,"events":["candidate.completed"],"secret":%q}`, url, string(webhookSecret)))
	require.Equal(c.t, http.StatusCreated, status, e)
	return e["id"].(string)
}

// complete completes a candidate.
func (c client) complete(session string, score int) (int, map[string]any) {
	c.t.Helper()
	return c.do("POST", "/v1/candidates/"+session+"/complete", fmt.Sprintf(
		`{"assessmentId":"asm_456","candidateName":"Jane Smith","candidateEmail":"jane@example.com","score":%d,"status":"COMPLETED"}`, score))
}

// deliveries returns the deliveries of an endpoint.
func (c client) deliveries(endpoint, query string) []any {
	c.t.Helper()
	status, list := c.do("GET", "/v1/webhooks/"+endpoint+"/deliveries"+query, "")
	require.Equal(c.t, http.StatusOK, status, list)
	return list["deliveries"].([]any)
}

// finished waits until n deliveries of an endpoint have a state, and returns them. It polls, as a
// client of the API has to.
func (c client) finished(endpoint string, state alotwebhook.DeliveryState, n int) (found []any) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if found = c.deliveries(endpoint, "?status="+string(state)); len(found) == n {
			return found
		}
	}
	require.Len(c.t, found, n, "%s: %v", state, c.deliveries(endpoint, ""))
	return nil
}

// stores return values of the flag -store, each for an empty store.
var stores = map[string]func(t testing.TB) string{
	"memory": func(testing.TB) string { return "memory" },
	"sqlite": func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "mono lith.db") },
	"postgres": func(t testing.TB) string {
		return "postgres:" + newDatabase(t)
	},
}

func eachStore(t *testing.T, f func(t *testing.T, store string)) {
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, store(t))
		})
	}
}

var databases atomic.Int64

// newDatabase creates a database for one test, and returns its connection string.
func newDatabase(t testing.TB) string {
	t.Helper()
	pool := postgrestest.Pool(t)
	name := fmt.Sprintf("monolith_%d_%d", os.Getpid(), databases.Add(1))
	_, err := pool.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := pool.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		require.NoError(t, err)
	})
	c := pool.Config().ConnConfig
	return fmt.Sprintf("host='%s' port=%d user='%s' password='%s' dbname=%s sslmode=disable", c.Host, c.Port, c.User, c.Password, name)
}
