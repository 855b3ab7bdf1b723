package storable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/storable"
)

func TestTimeProblem(t *testing.T) {
	t.Parallel()
	west := time.FixedZone("", -12*3600)
	for at, wrong := range map[time.Time]bool{
		{}: false, time.Time{}.In(west): false, time.Time{}.Add(1): false, time.Time{}.Add(-1): true,
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC): false,
		time.Date(9999, 12, 31, 23, 59, 59, 0, west):               true,
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC):               true,
		time.Date(-4800, 1, 1, 0, 0, 0, 0, time.UTC):               true,
		time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC):             true,
		time.Unix(1<<62, 0):                                        true,
		time.Now():                                                 false,
	} {
		require.Equal(t, wrong, storable.TimeProblem(at) != "", "%v", at)
	}
	require.Contains(t, storable.TimeProblem(time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)), "is in the year 300000")
}

type word string

type filter struct {
	OrganizationID string
	Type           word
	Subject        string
	Since          time.Time
	IDs            []string
	Limit          int
	hidden         string
}

func TestProblemNamesTheFirstField(t *testing.T) {
	t.Parallel()
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for want, of := range map[string]filter{
		" ": {"é\n", "c", "d", time.Time{}, []string{"", "x"}, -1, "\x00"},
		`organizationId "x\x00" has a NUL or is not UTF-8, and no store holds that; give it as it was stored`:    {OrganizationID: "x\x00", Since: late},
		`type "\xff" has a NUL or is not UTF-8, and no store holds that; give it as it was stored`:               {OrganizationID: "x", Type: "\xff"},
		"subject of 3 bytes has a NUL or is not UTF-8, and no store holds that; correct it":                      {Subject: "jo\x00", Since: late},
		"since is in the year 10000, and no store holds that; give a time in the years 1 to 9999 (UTC), or none": {Since: late},
		`ids "b\x00" has a NUL or is not UTF-8, and no store holds that; give it as it was stored`:               {IDs: []string{"a", "b\x00"}},
	} {
		field, problem := storable.Problem(of)
		require.Equal(t, want, field+" "+problem)
	}
	_, problem := storable.Problem(filter{OrganizationID: strings.Repeat("x", 100_000) + "\x00"})
	require.Less(t, len(problem), 200)
	field, _ := storable.Problem(struct{ URLPart string }{"\x00"})
	require.Equal(t, "url", field)
	field, _ = storable.Problem(struct{ EventType string }{"\x00"})
	require.Equal(t, "eventType", field)
}

func TestFindNamesTheIdOnce(t *testing.T) {
	t.Parallel()
	missing, broken := errors.New("alotwebhook: not found"), errors.New("alotwebhook: disk full")
	asked := 0
	find := func(id string, err error) error {
		_, err = storable.Find(t.Context(), "event", id, func(_ context.Context, id string) (int, error) {
			asked++
			return 7, err
		}, missing)
		return err
	}
	require.NoError(t, find("evt_1", nil))
	require.EqualError(t, find("evt_1", fmt.Errorf("%w: event %q", missing, "evt_1")), `alotwebhook: event "evt_1": not found`)
	require.EqualError(t, find("evt_1", broken), `alotwebhook: event "evt_1": disk full`)
	require.Equal(t, 3, asked)
	for _, id := range []string{"evt\x00", "evt\xff"} {
		require.ErrorIs(t, find(id, nil), missing)
	}
	require.Equal(t, 3, asked, "no store is asked for what it cannot hold")
	require.Less(t, len(find(strings.Repeat("é\"", 50_000), missing).Error()), 150)
}

func TestKeyProblem(t *testing.T) {
	t.Parallel()
	require.Empty(t, storable.KeyProblem("mails/evt_1"))
	require.Contains(t, storable.KeyProblem(""), "is empty")
	require.Equal(t, `"evt\x00" has a NUL or is not UTF-8; give the event's id`, storable.KeyProblem("evt\x00"))
	require.Contains(t, storable.KeyProblem("evt\xff"), `"evt\xff" has a NUL or is not UTF-8`)
	require.Empty(t, storable.KeyProblem(strings.Repeat("k", 255)))
	require.Equal(t, "has 256 bytes, and at most 255 are allowed; give the event's id, with a short name in front if there must be one",
		storable.KeyProblem(strings.Repeat("k", 256)))
	require.Contains(t, storable.KeyProblem(strings.Repeat("é", 128)), "has 256 bytes", "bytes count, not characters")
}
