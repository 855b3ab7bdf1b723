package alotwebhook_test

import (
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
		events := func(organization string) int {
			page, err := feed.Read(t.Context(), w.Dispatcher, feed.Filter{OrganizationID: organization})
			require.NoError(t, err)
			return len(page.Events)
		}
		require.Equal(t, 2, events("org_1"))
		begun, err := w.Remove(t.Context(), "org_1", "they have left")
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryRemoved, w.ended(t, begun).State)
		time.Sleep(time.Hour)
		require.Zero(t, events("org_1"))
		require.Equal(t, 2, events("host"), "the host is told of what was created, and of the end")
	})
}
