package load

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// behaviours of receivers.
const (
	healthy = "healthy"
	hanging = "hang"
	failing = "fail"
)

// crowd says which organizations there are. An organization of a pair has two endpoints, every
// other one has one.
type crowd struct {
	Hanging, Failing, Pairs, Singles int
}

// newCrowd shares out endpoints so that an event has 1.5 deliveries on average.
func newCrowd(endpoints, hanging, failing int) crowd {
	c := crowd{Hanging: hanging, Failing: failing}
	left := endpoints - hanging - failing
	c.Pairs = left / 3
	c.Singles = left - 2*c.Pairs
	return c
}

func (c crowd) organizations() int { return c.Hanging + c.Failing + c.Pairs + c.Singles }

// organization returns the name of one, how its receivers behave, and its endpoints' numbers.
func (c crowd) organization(i int) (name, behaviour string, endpoints []int) {
	switch pair := i - c.Hanging - c.Failing; {
	case i < c.Hanging:
		return fmt.Sprintf("hang-%d", i), hanging, []int{i}
	case pair < 0:
		return fmt.Sprintf("fail-%d", i), failing, []int{i}
	case pair < c.Pairs:
		return fmt.Sprintf("pair-%d", i), healthy, []int{i, i + c.Pairs}
	default:
		return fmt.Sprintf("one-%d", i), healthy, []int{i + c.Pairs}
	}
}

// behaviours returns how each endpoint's receiver behaves.
func (c crowd) behaviours() []string {
	all := make([]string, c.organizations()+c.Pairs)
	for i := range c.organizations() {
		_, behaviour, endpoints := c.organization(i)
		for _, n := range endpoints {
			all[n] = behaviour
		}
	}
	return all
}

func (c crowd) anyOrganization() int { return rand.IntN(c.organizations()) }

// key stands for one event at one endpoint.
func key(eventID string, endpoint int) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(eventID)) // never fails
	return h.Sum64() + uint64(endpoint)
}
