package eventtype

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/text"
)

// All is the subscription to all types.
const All = "*"

// Names returns what an endpoint may subscribe to in order to get events of a type: the type, "*",
// and what it begins with, such as "candidate.*". The types of operations tell of the endpoints
// themselves, not of the host's business, so that they have only their own names.
func Names(eventType string) []string {
	names := append(make([]string, 0, 4), eventType)
	if Problem(eventType) != "" || audit.IsType(eventType) {
		return names
	}
	names = append(names, All)
	for i, c := range eventType {
		if c == '.' {
			names = append(names, eventType[:i+1]+All)
		}
	}
	return names
}

// Includes reports whether one of the subscriptions is among Names of a type.
func Includes(subscriptions []string, eventType string) bool {
	for _, s := range subscriptions {
		if s == eventType || Covers(s, eventType) && Problem(eventType) == "" {
			return true
		}
	}
	return false
}

// Covers reports whether a subscription with a star includes another subscription.
func Covers(subscription, name string) bool {
	prefix, star := strings.CutSuffix(subscription, All)
	return star && subscription != name && strings.HasPrefix(name, prefix) && (prefix == "" || strings.HasSuffix(prefix, ".")) && !audit.IsType(name)
}

// Expand returns the names that the subscriptions include: their own, and those of the catalogue.
func Expand[T any](subscriptions []string, catalogue map[string]T) []string {
	names := slices.Clone(subscriptions)
	for name := range catalogue {
		if !slices.Contains(names, name) && Includes(subscriptions, name) {
			names = append(names, name)
		}
	}
	return names
}

// SubscriptionsProblem returns what is wrong with the first wrong one of the subscriptions of an
// endpoint, and its index; "" if none is. Those that are kept need not be in the catalogue any more,
// nor to be allowed. stars says whether new ones may have a star.
func SubscriptionsProblem[T any](names, kept []string, catalogue map[string]T, stars bool) (part, problem string) {
	if len(names) == 0 {
		return "", "is empty; name at least one event type to be told of"
	}
	for i, name := range names {
		part = fmt.Sprintf("[%d]", i)
		wider := slices.IndexFunc(names, func(other string) bool { return Covers(other, name) })
		switch {
		case slices.Contains(names[:i], name):
			return part, fmt.Sprintf("%q stands twice", text.Clip(name, MaxLen))
		case wider >= 0:
			return part, fmt.Sprintf("%q is included in %q; leave one of them out", text.Clip(name, MaxLen), text.Clip(names[wider], MaxLen))
		case slices.Contains(kept, name):
			continue
		}
		if problem := subscriptionProblem(name, catalogue, stars); problem != "" {
			return part, problem
		}
	}
	return "", ""
}

// subscriptionProblem returns what is wrong with a new subscription, or "".
func subscriptionProblem[T any](name string, catalogue map[string]T, stars bool) string {
	if !strings.Contains(name, All) {
		_, listed := catalogue[name]
		return ListProblem(name, listed)
	}
	prefix, _ := strings.CutSuffix(name, All)
	switch {
	case !stars:
		return fmt.Sprintf("%q has a star, which is not offered here; name each event type", text.Clip(name, 40))
	case prefix != "" && Problem(strings.TrimSuffix(prefix, ".")) != "", prefix != "" && !strings.HasSuffix(prefix, "."):
		return fmt.Sprintf("%q has a star that does not stand alone, or after whole words as in candidate.*", text.Clip(name, 40))
	}
	for listed := range catalogue {
		if Includes([]string{name}, listed) {
			return ""
		}
	}
	return fmt.Sprintf("%q includes no event type of the catalogue", text.Clip(name, 40))
}
