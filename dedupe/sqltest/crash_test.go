package sqltest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

// childVariable names the environment variable that tells a child process at which
// point to kill itself.
const childVariable = "ALOTWEBHOOK_SQLTEST_KILL"

// crashLease is longer than any machine takes to come to where it is killed.
const crashLease = time.Hour

// A process is killed while it handles an event. If its transaction was committed, the
// event is done; otherwise the next process handles it.
func TestKilledHandler(t *testing.T) {
	t.Parallel()
	for point, rows := range map[string]int{"before the work": 0, "before the commit": 0, "after the commit": 1} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "customer.db")
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.timeout=10m")
			cmd.Env = append(os.Environ(), childVariable+"="+point, childVariable+"_FILE="+path)
			out, err := cmd.CombinedOutput()
			exit := &exec.ExitError{}
			require.ErrorAs(t, err, &exit, string(out))
			require.Equal(t, -1, exit.ExitCode(), "killed: %s", out)

			db := openSQLite(t, path)
			s := newSQL(t, db, dedupe.SQLite, nil)
			require.Equal(t, rows, count(t, db, "business"))
			again := func() error { // as the sender does
				return alotwebhook.Once(t.Context(), s, "evt", time.Minute, func(ctx context.Context) error {
					return business(ctx, db, s, nil)
				})
			}
			if rows == 0 {
				require.ErrorIs(t, again(), alotwebhook.ErrInProgress, "its lease lasts")
			}
			_, err = db.Exec("UPDATE alotwebhook_handled SET expires_at = expires_at - ? WHERE NOT done", crashLease.Milliseconds())
			require.NoError(t, err)
			require.NoError(t, again(), "its lease is over")
			require.Equal(t, 1, count(t, db, "business"), "handled once, at whatever point the process was killed")
		})
	}
}

// TestChild is the process that kills itself.
func TestChild(t *testing.T) {
	point := os.Getenv(childVariable)
	if point == "" {
		t.Skip("TestKilledHandler runs this in a child process")
	}
	db := openSQLite(t, os.Getenv(childVariable+"_FILE"))
	s := newSQL(t, db, dedupe.SQLite, nil)
	makeBusiness(t, db)
	err := alotwebhook.Once(t.Context(), s, "evt", crashLease, func(ctx context.Context) error {
		if point == "before the work" {
			kill(t)
		}
		err := business(ctx, db, s, func() error {
			if point == "before the commit" {
				kill(t)
			}
			return nil
		})
		if point == "after the commit" {
			kill(t)
		}
		return err
	})
	t.Fatalf("not killed: %v", err)
}

func kill(t *testing.T) {
	t.Helper()
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	require.NoError(t, self.Kill())
	select {} // until the signal has ended the process
}
