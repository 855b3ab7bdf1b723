package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// These words are about one person, and stand nowhere else. Each has a place of its own.
const (
	inPayload = "jane-doe-payload"
	inLong    = "jane-doe-long-payload" // of a payload that fills pages of its own
	inSubject = "jane-doe-subject"
	inDetail  = "jane-doe-detail"
	inBody    = "jane-doe-response" // kept as base64, see words
	inTrace   = "00-0000006a616e652d646f65000000001-000000006a616e65-01"
)

// words are what the test looks for. A response is kept as base64 of JSON.
func words() []string {
	body := base64.RawStdEncoding.EncodeToString([]byte(inBody[:15])) // of whole groups of three bytes
	return []string{inPayload, inLong, inSubject, inDetail, body, inTrace}
}

// personal stores events of a person among those of others, and has their deliveries end in all ways
// there are. It returns the person's events.
func personal(t *testing.T, s *sqlite.Store) (ids []string) {
	t.Helper()
	fleet(t, s, 3)
	var person []alotwebhook.Event
	for i := range 12 {
		e := newEvent(t, organization(i%3))
		e.Subject, e.TraceParent = inSubject, inTrace
		text := inPayload
		if i%4 == 3 {
			text = strings.Repeat("x", 20_000) + inLong + strings.Repeat("x", 20_000)
		}
		e.Data = json.RawMessage(fmt.Sprintf(`{"name":%q}`, text))
		person = append(person, e)
		ids = append(ids, e.ID)
	}
	others := func() { enqueue(t, s, 200, 0, 3) }
	others()
	for i := range person {
		require.NoError(t, s.Enqueue(t.Context(), person[i:i+1]))
		others()
		for range 3 { // the first attempts of most fail, and are due again at once
			attempt(t, s, i)
		}
	}
	return ids
}

// attempt claims some deliveries and has their attempts succeed, fail for good or fail for now.
func attempt(t *testing.T, s *sqlite.Store, n int) {
	t.Helper()
	var outcomes []alotwebhook.Outcome
	for i, c := range claim(t, s, 100, nil) {
		o := alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
			Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), Duration: time.Millisecond, StatusCode: 204}}
		if bytes.Contains(c.Payload, []byte("jane-doe")) {
			o.State = []alotwebhook.DeliveryState{alotwebhook.StatePending, alotwebhook.StateDelivered, alotwebhook.StateFailed}[(n+i+c.Attempt)%3]
			o.Attempt.StatusCode, o.Attempt.Reason = 500, alotwebhook.ReasonStatus
			o.Attempt.Detail, o.Attempt.ResponseBody = "no "+inDetail, inBody
		}
		outcomes = append(outcomes, o)
	}
	lost, err := s.Finish(t.Context(), outcomes)
	require.NoError(t, err)
	require.Empty(t, lost)
}

// eraseAll erases what r selects, as a dispatcher does: the recovery holds the subject until it ends.
func eraseAll(t *testing.T, s *sqlite.Store, r alotwebhook.Recovery) (n int) {
	t.Helper()
	r.EndpointID, r.State = "rec_00000000000000000000000001", alotwebhook.RecoveryErasing
	for {
		require.NoError(t, s.PutRecovery(t.Context(), r))
		r.Version++
		some, next, err := s.Erase(t.Context(), r, 5)
		require.NoError(t, err)
		n += some
		if r.Cursor = next; next == "" {
			break
		}
	}
	r.State, r.Subject = alotwebhook.RecoveryErased, ""
	require.NoError(t, s.PutRecovery(t.Context(), r))
	return n
}

// inTables returns which words stand in which columns.
func inTables(t *testing.T, db *sql.DB) (found []string) {
	t.Helper()
	rows, err := db.Query(`SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1, 2`)
	require.NoError(t, err)
	var columns [][2]string
	for rows.Next() {
		var c [2]string
		require.NoError(t, rows.Scan(&c[0], &c[1]))
		columns = append(columns, c)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(columns), 100)
	for _, c := range columns {
		for _, w := range words() {
			var n int
			require.NoError(t, db.QueryRow(fmt.Sprintf("SELECT count(*) FROM %q WHERE instr(CAST(%q AS BLOB), CAST(? AS BLOB))", c[0], c[1]), w).Scan(&n))
			if n > 0 {
				found = append(found, fmt.Sprintf("%s.%s: %d of %s", c[0], c[1], n, w))
			}
		}
	}
	return found
}

// inFiles returns how often each word stands in each file of the database's directory.
func inFiles(t *testing.T, path string) map[string]map[string]int {
	t.Helper()
	found := map[string]map[string]int{}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, w := range words() {
			if n := bytes.Count(content, []byte(w)); n > 0 {
				name := strings.TrimPrefix(filepath.Base(file), filepath.Base(path))
				if found[name] == nil {
					found[name] = map[string]int{}
				}
				found[name][w] = n
			}
		}
	}
	return found
}

func execute(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), query)
	require.NoError(t, err)
}

func TestEraseInFiles(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path)
	ids := personal(t, s)
	tool := hostHandle(t, path) // of the person who operates it
	t.Log("before", inTables(t, tool))
	t.Log("before", inFiles(t, path))
	execute(t, tool, "PRAGMA wal_checkpoint(TRUNCATE)")
	t.Log("before, checkpoint", inFiles(t, path))
	require.Equal(t, len(ids), eraseAll(t, s, alotwebhook.Recovery{Subject: inSubject}))
	require.Empty(t, inTables(t, tool))
	t.Log("erased", inFiles(t, path))
	execute(t, tool, "PRAGMA wal_checkpoint(TRUNCATE)")
	t.Log("checkpoint", inFiles(t, path))
	execute(t, tool, "VACUUM")
	t.Log("vacuum", inFiles(t, path))
	execute(t, tool, "PRAGMA wal_checkpoint(TRUNCATE)")
	t.Log("vacuum+checkpoint", inFiles(t, path))
	attempt(t, s, 0)
}
