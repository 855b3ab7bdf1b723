package alotwebhook_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

type typeIDVector struct{ Name, TypeID, Prefix, UUID, Description string }

func loadTypeIDs(t testing.TB, path string) []typeIDVector {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var vectors []typeIDVector
	require.NoError(t, json.Unmarshal(text, &vectors))
	require.NotEmpty(t, vectors)
	return vectors
}

func TestTypeIDVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadTypeIDs(t, "testdata/typeid/valid.json") {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			// A prefix is optional there; here every id has one.
			prefix, id := v.Prefix, v.TypeID
			if prefix == "" {
				prefix, id = "evt", "evt_"+id
			}
			want := uuid.MustParse(v.UUID)
			require.Equal(t, id, alotwebhook.FormatID(prefix, want))
			got, err := alotwebhook.ParseID(prefix, id)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestInvalidTypeIDVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadTypeIDs(t, "testdata/typeid/invalid.json") {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			_, err := alotwebhook.ParseID("evt", v.TypeID)
			require.Error(t, err, v.Description)
			// What is wrong with the suffix is wrong under our own prefix, too.
			if suffix, ok := strings.CutPrefix(v.TypeID, "prefix_"); ok {
				_, err := alotwebhook.ParseID("evt", "evt_"+suffix)
				require.Error(t, err, v.Description)
			}
		})
	}
}

func TestNewIDHoldsItsMillisecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 3 {
			e, err := alotwebhook.NewEvent("a.b", "org_1", nil)
			require.NoError(t, err)
			u, err := alotwebhook.ParseID("evt", e.ID)
			require.NoError(t, err)
			require.EqualValues(t, 7, u.Version())
			require.Equal(t, uuid.RFC4122, u.Variant())
			seconds, nanos := u.Time().UnixTime()
			require.WithinDuration(t, e.Timestamp, time.Unix(seconds, nanos), time.Second)
			time.Sleep(time.Hour) // faked
		}
	})
}

func TestDeliveryID(t *testing.T) {
	t.Parallel()
	const (
		event    = "evt_01jcc7wjz3e4qv8x5k2m9n6p0r"
		endpoint = "wh_01jcc7wjz3e4qv8x5k2m9n6p0r"
		other    = "wh_01jcc7wjz3e4qv8x5k2m9n6p0s"
	)
	id := alotwebhook.DeliveryID(event, endpoint)
	require.Equal(t, id, alotwebhook.DeliveryID(event, endpoint))
	require.NotEqual(t, id, alotwebhook.DeliveryID(event, other))

	u, err := alotwebhook.ParseID("dlv", id)
	require.NoError(t, err)
	of, err := alotwebhook.ParseID("evt", event)
	require.NoError(t, err)
	require.Equal(t, of[:6], u[:6], "begins with the event's millisecond")
	require.EqualValues(t, 7, u.Version())
	require.Equal(t, uuid.RFC4122, u.Variant())
}

// eventIDForm is what a TypeID is, written another way.
var eventIDForm = regexp.MustCompile(`\Aevt_[0-7][0-9a-hjkmnp-tv-z]{25}\z`)

func FuzzParseID(f *testing.F) {
	for _, path := range []string{"testdata/typeid/valid.json", "testdata/typeid/invalid.json"} {
		for _, v := range loadTypeIDs(f, path) {
			f.Add("evt_" + v.TypeID[max(0, len(v.TypeID)-26):])
		}
	}
	f.Fuzz(func(t *testing.T, id string) {
		u, err := alotwebhook.ParseID("evt", id)
		require.Equal(t, eventIDForm.MatchString(id), err == nil)
		if err == nil {
			require.Equal(t, id, alotwebhook.FormatID("evt", u), "one spelling only")
		}
	})
}
