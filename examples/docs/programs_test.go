package docs_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/sqlite"
)

// patience is a bound of last resort for what takes seconds.
const patience = 10 * time.Minute

// built is where the programs are, once they are.
var built = sync.OnceValues(func() (directory string, err error) {
	if directory, err = os.MkdirTemp("", "docs"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", directory+"/", "./examples/monolith", "./examples/receiver", "./cmd/alotwebhook")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	return directory, cmd.Run()
})

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // receivers that are sent what they must refuse
	code := m.Run()
	if directory, err := built(); err == nil {
		_ = os.RemoveAll(directory)
	}
	os.Exit(code)
}

// programs returns the directory of the programs that documents run.
func programs(t testing.TB) string {
	t.Helper()
	directory, err := built()
	require.NoError(t, err)
	return directory
}

// program is one that a document shows, at work.
type program struct {
	*exec.Cmd
	t         testing.TB
	directory string
	log       lockedBuffer
}

// lockedBuffer is read while a program writes.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// start builds the program in that section of a document, with the replacements,
// and runs it in a directory of its own. It is ended with the test.
func start(t testing.TB, document, section string, replace replacer, env ...string) *program {
	t.Helper()
	p := &program{t: t, directory: t.TempDir()}
	source, binary := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(source, []byte(replace.in(programIn(t, document, section))), 0o600))
	build := exec.Command("go", "build", "-o", binary, source)
	build.Dir = filepath.Join(root, "examples")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p.Cmd = exec.CommandContext(ctx, binary)
	p.Dir, p.Env, p.Stdout, p.Stderr = p.directory, append(os.Environ(), env...), &p.log, &p.log
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		cancel()
	})
	return p
}

// programIn returns the whole program of a section.
func programIn(t testing.TB, document, section string) string {
	t.Helper()
	text := read(t, document)
	from := strings.Index(text, "\n## "+section+"\n")
	require.GreaterOrEqual(t, from, 0, "%s has no section %q", document, section)
	_, text, ok := strings.Cut(text[from:], fence+"go\n")
	require.True(t, ok)
	text, _, _ = strings.Cut(text, fence)
	require.True(t, strings.HasPrefix(text, "package main\n"), text)
	return text
}

// terminate asks the program to end, and requires that it does so well.
func (p *program) terminate() { require.NoError(p.t, p.Process.Signal(syscall.SIGTERM)) }

func (p *program) wait() { require.NoError(p.t, p.Wait(), p.log.String()) }

// startReceiver runs README's receiver at an address.
func startReceiver(t testing.TB, address string) {
	t.Helper()
	p := start(t, "README.md", "Receiving", replacer{"localhost:3000": address}, "ALOT_WEBHOOK_SECRET=your-signing-secret")
	p.reach("http://" + address)
}

// reach waits until a program answers.
func (p *program) reach(url string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		res, err := http.Get(url)
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	}, patience, 20*time.Millisecond)
}

// freeAddress is one that nobody listens at just now.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// TestSending runs README's program for sending: the event arrives, signed with
// the secret that was shown, and SIGTERM lets the attempt end.
func TestSending(t *testing.T) {
	t.Parallel()
	began, release := make(chan *http.Request, 1), make(chan struct{})
	var body bytes.Buffer
	customer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = body.ReadFrom(r.Body)
		began <- r
		<-release
		w.WriteHeader(http.StatusNoContent)
	}))
	defer customer.Close()
	p := start(t, "README.md", "Sending", replacer{
		"https://example.com/alot/webhook": customer.URL,
		"\t\"log\"\n":                      "\t\"log\"\n\t\"net/netip\"\n",
		"NewDispatcher(store, nil)":        `NewDispatcher(store, &alotwebhook.Config{AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})`,
	})
	request := <-began
	p.terminate()
	close(release)
	p.wait()
	shown := regexp.MustCompile(`whsec_\S+`).FindString(p.log.String())
	require.NoError(t, alotwebhook.Verify(body.Bytes(), request.Header.Get(alotwebhook.SignatureHeader), alotwebhook.Secret(shown)))

	store, err := sqlite.Open(t.Context(), filepath.Join(p.directory, "app.db"))
	require.NoError(t, err)
	defer store.Close()
	deliveries, _, err := store.Deliveries(t.Context(), alotwebhook.Filter{})
	require.NoError(t, err)
	require.Len(t, deliveries, 1)
	require.Equal(t, alotwebhook.StateDelivered, deliveries[0].State)
	require.Equal(t, 1, deliveries[0].AttemptCount)
}

// TestSendingOnPostgres runs the service of docs/sending.md.
func TestSendingOnPostgres(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t)
	db, err := pgx.Connect(t.Context(), cluster.DSN())
	require.NoError(t, err)
	defer db.Close(context.Background())
	_, err = db.Exec(t.Context(), "CREATE TABLE candidates (id text PRIMARY KEY, score int NOT NULL)")
	require.NoError(t, err)

	address := freeAddress(t)
	p := start(t, "docs/sending.md", "PostgreSQL", replacer{"localhost:8080": address}, "DATABASE_URL="+cluster.DSN())
	p.reach("http://" + address)
	for _, want := range []int{http.StatusCreated, http.StatusInternalServerError} { // the same row twice is an error
		res, err := http.Post("http://"+address+"/candidates/sess_1/complete", "", nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode, p.log.String())
	}
	var rows, events int
	require.NoError(t, db.QueryRow(t.Context(),
		"SELECT (SELECT count(*) FROM candidates), (SELECT count(*) FROM alotwebhook.events)").Scan(&rows, &events))
	require.Equal(t, []int{1, 1}, []int{rows, events})
	p.terminate()
	p.wait()
}
