package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
	inBody    = "jane-doe-response"
	inTrace   = "00-0000006a616e652d646f65000000001-000000006a616e65-01"
)

// ofPerson is all of them as they are stored: a response is kept as base64.
var ofPerson = []string{inPayload, inLong, inSubject, inDetail, inTrace,
	base64.RawStdEncoding.EncodeToString([]byte(inBody[:15]))} // whole groups of three bytes

// personal stores events of a person among those of others, and makes attempts of which some have
// ended in each way there is, some wait for the next one, and some are under way. It returns how many
// events of the person there are.
func personal(t *testing.T, s *sqlite.Store) (events int) {
	t.Helper()
	const rounds, others = 40, 60
	fleet(t, s, 3)
	for i := range rounds {
		e := newEvent(t, organization(i%3))
		e.Subject, e.TraceParent = inSubject, inTrace
		text := inPayload
		if i%4 == 3 {
			text = strings.Repeat("x", 20_000) + inLong + strings.Repeat("x", 20_000)
		}
		e.Data = json.RawMessage(fmt.Sprintf(`{"name":%q}`, text))
		enqueue(t, s, others, 0, 3)
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{e}))
		if i < rounds-5 {
			attempts(t, s)
		}
	}
	require.NotEmpty(t, claim(t, s, 3*others, nil))
	return rounds
}

// attempts claims deliveries and has their attempts succeed, fail for good or fail for now.
func attempts(t *testing.T, s *sqlite.Store) {
	t.Helper()
	var outcomes []alotwebhook.Outcome
	for _, c := range claim(t, s, 100, nil) {
		o := alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
			Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), Duration: time.Millisecond, StatusCode: 204}}
		if bytes.Contains(c.Payload, []byte("jane-doe")) {
			o.State = []alotwebhook.DeliveryState{alotwebhook.StateFailed, alotwebhook.StateDelivered, alotwebhook.StatePending, alotwebhook.StatePending}[rand.N(4)]
			o.NextAttemptIn = rand.N(2 * time.Minute).Truncate(time.Minute) // at once or later
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

// inTables returns in which columns of which tables words stand, and in how many rows.
func inTables(t *testing.T, db *sql.DB, words []string) map[string]int {
	t.Helper()
	rows, err := db.Query(`SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'`)
	require.NoError(t, err)
	var columns [][2]string
	for rows.Next() {
		var c [2]string
		require.NoError(t, rows.Scan(&c[0], &c[1]))
		columns = append(columns, c)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(columns), 100, "those of all tables")
	found := map[string]int{}
	for _, c := range columns {
		for _, w := range words {
			n := count(t, db, fmt.Sprintf("SELECT count(*) FROM %q WHERE instr(CAST(%q AS BLOB), CAST(? AS BLOB))", c[0], c[1]), w)
			if n > 0 {
				found[strings.TrimPrefix(c[0], "alotwebhook_")+"."+c[1]] += n
			}
		}
	}
	return found
}

// inFiles returns how often each word stands in the database ("") and in the files beside it, such as
// "-wal".
func inFiles(t *testing.T, path string, words []string) map[string]map[string]int {
	t.Helper()
	found := map[string]map[string]int{}
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, w := range words {
			if n := bytes.Count(content, []byte(w)); n > 0 {
				name := strings.TrimPrefix(file, path)
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

const checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)"

// Erasing takes all that is about a person out of the tables at once. In the files:
//
//   - The log keeps what was there until a checkpoint that cuts it off, and the database the pages of
//     before.
//   - Then the payload is gone, and all else that stood in rows that Erase has changed.
//   - What earlier changes of rows have left in free space stays, unless it was overwritten at once,
//     as in a file that this package opens. Nothing is certain to be gone before VACUUM.
//
// All this is said in docs/operating.md.
func TestEraseInFiles(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB, string) *sqlite.Store{
		"Own":  open,
		"Host": func(tb testing.TB, path string) *sqlite.Store { return onHandle(tb, hostHandle(tb, path)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			s := open(t, path)
			events := personal(t, s)
			tool := hostHandle(t, path) // of the person who operates it
			execute(t, tool, checkpoint)
			require.Len(t, inTables(t, tool, ofPerson), 5)
			require.Len(t, inFiles(t, path, ofPerson)[""], len(ofPerson))

			require.Equal(t, events, eraseAll(t, s, alotwebhook.Recovery{Subject: inSubject}))
			require.Empty(t, inTables(t, tool, ofPerson))
			left := inFiles(t, path, ofPerson)
			require.Len(t, left[""], len(ofPerson), "no page of the log has come to the file")
			require.Contains(t, left["-wal"], inSubject, "of the recovery that has erased")

			execute(t, tool, checkpoint)
			left = inFiles(t, path, ofPerson)
			require.NotContains(t, left, "-wal")
			for _, word := range []string{inPayload, inLong, inTrace} {
				require.NotContains(t, left[""], word)
			}
			if name == "Own" {
				require.Less(t, left[""][inDetail], 5, "what was in the queue was overwritten when it left that")
			} else {
				require.Contains(t, left[""], inDetail)
			}

			execute(t, tool, "VACUUM")
			execute(t, tool, checkpoint)
			require.Empty(t, inFiles(t, path, ofPerson))
			require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, organization(0))}))
			require.NotEmpty(t, claim(t, s, 1, nil), "the store goes on")
		})
	}
}

// ofOrganization is what only the organization has that is removed.
var ofOrganization = []string{"org_jane_doe", "jane-doe.example.com", "whsec_of_jane_doe", "jane-doe-note", "jane-doe-description", inPayload, "jane-doe-credentials"}

// leaving stores all that an organization can have.
func leaving(t *testing.T, s *sqlite.Store) {
	t.Helper()
	org := ofOrganization[0]
	for n := 10; n < 14; n++ {
		e := alotwebhook.Endpoint{
			ID: endpointID(n), OrganizationID: org, URL: "https://" + ofOrganization[1], Description: ofOrganization[4], EventTypes: []string{completed},
			Secret: alotwebhook.Secret(ofOrganization[2]), NextSecret: alotwebhook.Secret(ofOrganization[2]), Credentials: alotwebhook.Secret(ofOrganization[6]), Disabled: n == 11, Ordered: n == 12,
		}
		require.NoError(t, s.PutEndpoint(t.Context(), e, alotwebhook.Operation{
			ID: strings.Replace(newEvent(t, org).ID, "evt_", "op_", 1), Type: alotwebhook.OpEndpointCreated, OrganizationID: org, EndpointID: e.ID, Note: ofOrganization[3],
		}))
		require.NoError(t, s.PutRecovery(t.Context(), alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: org, State: alotwebhook.RecoveryDone, Note: ofOrganization[3]}))
		require.NoError(t, s.PutPause(t.Context(), alotwebhook.Pause{OrganizationID: org, EndpointID: e.ID, Note: ofOrganization[3]}))
		require.NoError(t, s.AddTallies(t.Context(), []alotwebhook.Tally{{EndpointID: e.ID, Hour: time.Now().Truncate(time.Hour), Succeeded: 1}}))
		event := newEvent(t, org)
		event.Data = json.RawMessage(`"` + inPayload + `"`)
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{event}))
		attempts(t, s)
	}
	unheard := newEvent(t, org)
	unheard.Type = alotwebhook.EventCandidateInvited
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{unheard}))
	require.NoError(t, s.PutPause(t.Context(), alotwebhook.Pause{OrganizationID: org}))
	require.NoError(t, s.DeleteEndpoint(t.Context(), endpointID(13)))
}

// An organization that has left is in no table any more, but in recoveries over many endpoints: one of
// these tells that it was removed. Its secrets go first.
func TestRemoveInFiles(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path)
	fleet(t, s, 3)
	enqueue(t, s, 300, 0, 3)
	leaving(t, s)
	tool := hostHandle(t, path)
	others := func() int {
		return count(t, tool, "SELECT (SELECT count(*) FROM alotwebhook_queue) + (SELECT count(*) FROM alotwebhook_deliveries)")
	}
	execute(t, tool, checkpoint)
	require.Len(t, inFiles(t, path, ofOrganization)[""], len(ofOrganization))
	require.NoError(t, s.PutRecovery(t.Context(), alotwebhook.Recovery{EndpointID: "rec_00000000000000000000000001", OrganizationID: ofOrganization[0], State: alotwebhook.RecoveryRemoving}))

	const limit = 3
	for n, call := limit, 0; n == limit; call++ {
		var err error
		n, err = s.Remove(t.Context(), ofOrganization[0], limit)
		require.NoError(t, err)
		require.Empty(t, inTables(t, tool, ofOrganization[1:3]), "secrets and URLs go with the first call")
		require.Less(t, call, 20)
	}
	require.Equal(t, map[string]int{"recoveries.organization": 1}, inTables(t, tool, ofOrganization))
	require.Equal(t, 300, others())
	require.Empty(t, inTables(t, tool, []string{endpointID(10), endpointID(11), endpointID(12), endpointID(13)}))
	enqueue(t, s, 3, 0, 3)
	require.NotEmpty(t, claim(t, s, 3, nil), "the store goes on")

	execute(t, tool, "DELETE FROM alotwebhook_recoveries")
	execute(t, tool, "VACUUM")
	execute(t, tool, checkpoint)
	require.Empty(t, inFiles(t, path, ofOrganization))
}
