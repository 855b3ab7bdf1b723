package load

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every endpoint belongs to one organization.
func TestCrowd(t *testing.T) {
	t.Parallel()
	c := newCrowd(300, 3, 3)
	owners := map[int]string{}
	for i := range c.organizations() {
		name, _, endpoints := c.organization(i)
		for _, n := range endpoints {
			require.NotContains(t, owners, n)
			owners[n] = name
		}
	}
	require.Len(t, owners, 300)
	counts := map[string]int{}
	for _, behaviour := range c.behaviours() {
		counts[behaviour]++
	}
	require.Equal(t, map[string]int{healthy: 294, hanging: 3, failing: 3}, counts)
	require.Equal(t, 98, c.Pairs)
	require.Equal(t, 98, c.Singles)
}
