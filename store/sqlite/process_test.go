package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// The test binary also serves as a second process. With roleVariable set it plays
// that role on the file that pathVariable names, instead of running tests.
const (
	roleVariable = "ALOTWEBHOOK_TEST_ROLE"
	pathVariable = "ALOTWEBHOOK_TEST_PATH"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "drain":
		exitOn(childDrain(os.Getenv(pathVariable)))
	case "claim":
		exitOn(childClaim(os.Getenv(pathVariable)))
	case "emit and copy":
		exitOn(childEmitAndCopy(os.Getenv(pathVariable)))
	case "emit":
		exitOn(childEmit(os.Getenv(pathVariable)))
	default:
		skipRulesUnderRaceDetector()
		os.Exit(m.Run())
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child returns the command for a second process in a role.
func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, pathVariable+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// childDrain claims and finishes until nothing is left, and prints the ids of the
// deliveries that it had.
func childDrain(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	if err := drain(s, func(id string) { fmt.Println(id) }); err != nil {
		return err
	}
	return s.Close()
}

func drain(s alotwebhook.Store, had func(id string)) error {
	ctx := context.Background()
	for {
		var r alotwebhook.ClaimResult
		err := persist(func() (err error) {
			r, err = s.Claim(ctx, alotwebhook.ClaimRequest{Limit: 20, PerEndpoint: 20, Lease: time.Hour})
			return err
		})
		if err != nil || len(r.Deliveries) == 0 {
			return err
		}
		var outcomes []alotwebhook.Outcome
		for _, c := range r.Deliveries {
			had(c.DeliveryID)
			outcomes = append(outcomes, alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
				Attempt: alotwebhook.Attempt{Number: c.Attempt, StatusCode: 204}})
		}
		var lost []string
		err = persist(func() (err error) {
			lost, err = s.Finish(ctx, outcomes)
			return err
		})
		if err != nil {
			return err
		}
		if len(lost) > 0 {
			return fmt.Errorf("lost %v", lost)
		}
	}
}

// persist repeats, as a dispatcher does, what the store gave up because others
// write all the time: on a slow machine they may do so for longer than it waits.
func persist(call func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := call()
		if err == nil || !strings.Contains(err.Error(), "holds the write lock") || time.Now().After(deadline) {
			return err
		}
	}
}

// Several stores, one of them in another process, claim every delivery exactly once.
func TestNoDeliveryIsClaimedTwice(t *testing.T) {
	t.Parallel()
	const events = 2000
	s, path := backlog(t, 5, events)
	other := child(t, "drain", path)
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())

	var mu sync.Mutex
	had := map[string]int{}
	note := func(id string) {
		mu.Lock()
		had[id]++
		mu.Unlock()
	}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, s := range []*sqlite.Store{s, open(t, path)} {
		wg.Go(func() { errs[i] = drain(s, note) })
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		note(lines.Text())
	}
	wg.Wait()
	require.NoError(t, other.Wait())
	require.Equal(t, []error{nil, nil}, errs)
	require.Len(t, had, events)
	for id, n := range had {
		require.Equal(t, 1, n, id)
	}
}

// childEmit emits until it is killed, and prints each event's id once it is stored.
func childEmit(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	for {
		event, err := alotwebhook.NewEvent(completed, "org_1", data)
		if err != nil {
			return err
		}
		if err := persist(func() error { return s.Enqueue(context.Background(), []alotwebhook.Event{event}) }); err != nil {
			return err
		}
		fmt.Println(event.ID)
	}
}

// After a kill, every acknowledged event is there, and every event there is whole.
func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path)
	putEndpoint(t, s, 1, "org_1")
	acknowledged := map[string]bool{}
	for round := range 5 {
		cmd := child(t, "emit", path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; n < 10+7*round && lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
		}
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() { // the lines that it wrote before it died
			if id := lines.Text(); len(id) == len("evt_")+26 {
				acknowledged[id] = true
			}
		}
		require.Error(t, cmd.Wait())
	}
	require.Greater(t, len(acknowledged), 5*10)

	again := open(t, path)
	claimed := claim(t, again, 1<<20, nil)
	found := map[string]bool{}
	for _, c := range claimed {
		require.True(t, strings.HasPrefix(string(c.Payload), `{"id":"`+c.EventID), "the payload is whole")
		found[c.EventID] = true
	}
	require.Len(t, found, len(claimed))
	for id := range acknowledged {
		require.True(t, found[id], id)
	}
}

// A claim knows at once of an endpoint that another process has added, changed or
// disabled.
func TestSeesOthersEndpoints(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	here, there := open(t, path), open(t, path)
	putEndpoint(t, here, 1, "org_1")
	enqueue(t, here, 3, 1, 2)
	require.Len(t, claim(t, here, 1, nil), 1)

	e, err := there.Endpoint(t.Context(), endpointID(1))
	require.NoError(t, err)
	e.URL, e.Secret = "https://other.example.com/", "another"
	require.NoError(t, there.PutEndpoint(t.Context(), e))
	claimed := claim(t, here, 1, nil)
	require.Equal(t, "https://other.example.com/", claimed[0].Endpoint.URL)
	require.Equal(t, alotwebhook.Secret("another"), claimed[0].Endpoint.Secret)

	e.Version++
	e.Disabled = true
	require.NoError(t, there.PutEndpoint(t.Context(), e))
	require.Empty(t, claim(t, here, 1, nil))

	putEndpoint(t, there, 2, "org_1")
	enqueue(t, here, 1, 1, 2)
	require.Len(t, claim(t, here, 10, nil), 1, "the new endpoint's")
}

// opening returns the ways to open a file. Each of them turns on WAL.
func opening(t *testing.T) map[string]func(path string) (*sqlite.Store, error) {
	byHandle := func(settings string) func(string) (*sqlite.Store, error) {
		return func(path string) (*sqlite.Store, error) {
			db, err := sql.Open("sqlite", "file:"+path+settings)
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { _ = db.Close() })
			return sqlite.New(t.Context(), db)
		}
	}
	return map[string]func(string) (*sqlite.Store, error){
		"Open":                         func(path string) (*sqlite.Store, error) { return sqlite.Open(t.Context(), path) },
		"New":                          byHandle(""),
		"New, patient":                 byHandle("?_pragma=busy_timeout(10000)"),
		"New, patient, as WAL already": byHandle("?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"),
	}
}

// Opening a file that is not there yet, many times at once, makes it once.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	for name, open := range opening(t) { // one after the other: each store waits ten seconds and no longer
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			stores := make([]*sqlite.Store, 8)
			errs := make([]error, len(stores))
			var wg sync.WaitGroup
			for i := range stores {
				wg.Go(func() { stores[i], errs[i] = open(path) })
			}
			wg.Wait()
			for i, err := range errs {
				require.NoError(t, err)
				require.NoError(t, stores[i].Close())
			}
		})
	}
}

// Beside a writer SQLite refuses at once to turn on WAL, however long its busy timeout.
func TestOpenWaitsForAWriter(t *testing.T) {
	t.Parallel()
	for name, open := range opening(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
			require.NoError(t, err)
			defer db.Close()
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			opened := make(chan error, 1)
			go func() {
				s, err := open(path)
				if err == nil {
					err = s.Close()
				}
				opened <- err
			}()
			select { // it still waits, unless this machine is slow
			case err := <-opened:
				t.Fatal("opened beside a writer: ", err)
			case <-time.After(200 * time.Millisecond):
			}
			require.NoError(t, tx.Rollback())
			require.NoError(t, <-opened)
		})
	}
}
