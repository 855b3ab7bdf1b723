package alotwebhook_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
	"github.com/alot/alotwebhook/store/memory"
)

// An organization whose operations are sent to it leaves none of them behind, as events.
func TestRemoveLeavesNoEventOfItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOn(t, memory.New(), alotwebhook.Config{CustomerOperations: true, HostOrganization: "host"}, &receivers{})
		w.endpoint(t, "a.example.com")
		require.NoError(t, w.Emit(t.Context(), about(t, "org_1", jane)))
		defer w.run(t)()
		time.Sleep(time.Minute)
		events := func(organization string) (types []string) {
			page, err := feed.Read(t.Context(), w.Dispatcher, feed.Filter{OrganizationID: organization})
			require.NoError(t, err)
			for _, e := range page.Events {
				types = append(types, e.Type)
			}
			return types
		}
		require.Len(t, events("org_1"), 2)
		begun, err := w.Remove(t.Context(), "org_1", "they have left")
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryRemoved, w.ended(t, begun).State)
		time.Sleep(time.Hour)
		require.Empty(t, events("org_1"))
		told := events("host")
		require.Equal(t, string(alotwebhook.OpEndpointCreated), told[0])
		require.Equal(t, string(alotwebhook.OpRecoveryEnded), told[len(told)-1], "of the beginning it is told only if that comes before its row is removed")
	})
}

func TestAFeedIsOfAnOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	for _, organization := range []string{"", "a\x00", "\xff", strings.Repeat("x", 256)} {
		_, err := feed.Read(t.Context(), w.Dispatcher, feed.Filter{OrganizationID: organization})
		requireField(t, err, "organizationId")
	}
}
