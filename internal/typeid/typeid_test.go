package typeid_test

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

	"github.com/alot/alotwebhook/internal/typeid"
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

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadTypeIDs(t, "../../testdata/typeid/valid.json") {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			// A TypeID may lack a prefix; every id of this package has one.
			prefix, id := v.Prefix, v.TypeID
			if prefix == "" {
				prefix, id = "evt", "evt_"+id
			}
			want := uuid.MustParse(v.UUID)
			require.Equal(t, id, typeid.Format(prefix, want))
			got, err := typeid.Parse(prefix, id)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestInvalidVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadTypeIDs(t, "../../testdata/typeid/invalid.json") {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			_, err := typeid.Parse("evt", v.TypeID)
			require.Error(t, err, v.Description)
			// A suffix that is wrong must be refused under our own prefix, too.
			if suffix, ok := strings.CutPrefix(v.TypeID, "prefix_"); ok {
				_, err := typeid.Parse("evt", "evt_"+suffix)
				require.Error(t, err, v.Description)
			}
		})
	}
}

func TestNewHoldsItsMillisecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 3 {
			id, err := typeid.New("evt")
			require.NoError(t, err)
			u, err := typeid.Parse("evt", id)
			require.NoError(t, err)
			require.EqualValues(t, 7, u.Version())
			require.Equal(t, uuid.RFC4122, u.Variant())
			at, ok := typeid.Time("evt", id)
			require.True(t, ok)
			require.WithinDuration(t, time.Now(), at, time.Second)
			time.Sleep(time.Hour) // of faked time
		}
	})
}

func TestTimeRefusesOtherIDs(t *testing.T) {
	t.Parallel()
	_, ok := typeid.Time("evt", "wh_01jcc7wjz3e4qv8x5k2m9n6p0r")
	require.False(t, ok)
}

func TestFirst(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 25, 14, 23, 0, 123_456_789, time.UTC)
	first := typeid.First("dlv", at)
	got, ok := typeid.Time("dlv", first)
	require.True(t, ok)
	require.Equal(t, at.Truncate(time.Millisecond), got)
	require.Less(t, typeid.First("dlv", at.Add(-time.Millisecond)), first)
	require.Equal(t, "dlv_00000000000000000000000000", typeid.First("dlv", time.Time{}))
	require.Equal(t, typeid.First("dlv", time.UnixMilli(1<<48-1)), typeid.First("dlv", time.UnixMilli(1<<50)))
}

// eventIDForm describes the ids that Parse must accept, independently of its code.
var eventIDForm = regexp.MustCompile(`\Aevt_[0-7][0-9a-hjkmnp-tv-z]{25}\z`)

func FuzzParse(f *testing.F) {
	for _, path := range []string{"../../testdata/typeid/valid.json", "../../testdata/typeid/invalid.json"} {
		for _, v := range loadTypeIDs(f, path) {
			f.Add("evt_" + v.TypeID[max(0, len(v.TypeID)-26):])
		}
	}
	f.Fuzz(func(t *testing.T, id string) {
		u, err := typeid.Parse("evt", id)
		require.Equal(t, eventIDForm.MatchString(id), err == nil)
		if err == nil {
			require.Equal(t, id, typeid.Format("evt", u), "one spelling only")
		}
	})
}
