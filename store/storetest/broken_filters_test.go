package storetest_test

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
)

// many is more than all that there is in a test, on one page.
const many = 100_000

// deliveriesBy lists deliveries in another way if unfinished ones are asked for.
type deliveriesBy struct {
	alotwebhook.Store
	list func(ctx context.Context, of alotwebhook.Store, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error)
}

func (s deliveriesBy) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	if f.State == alotwebhook.StateUnfinished {
		return s.list(ctx, s.Store, f)
	}
	return s.Store.Deliveries(ctx, f)
}

// unfinishedInParts lists what is pending first, and then what is parked.
func unfinishedInParts(ctx context.Context, of alotwebhook.Store, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	offset := 0
	_, _ = fmt.Sscan(f.Cursor, &offset)
	limit := cmp.Or(f.Limit, 100)
	f.Cursor, f.Limit = "", many
	all, _, err := of.Deliveries(ctx, f)
	slices.SortStableFunc(all, func(a, b alotwebhook.Delivery) int { return -cmp.Compare(a.State, b.State) })
	if all = all[offset:]; len(all) <= limit {
		return all, "", err
	}
	return all[:limit], fmt.Sprint(offset + limit), err
}

// unfinishedMutants are stores with a fault in StateUnfinished.
func unfinishedMutants() map[string]mutant {
	by := func(list func(context.Context, alotwebhook.Store, alotwebhook.Filter) ([]alotwebhook.Delivery, string, error)) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store { return deliveriesBy{s, list} }
	}
	as := func(state alotwebhook.DeliveryState) func(alotwebhook.Store) alotwebhook.Store {
		return by(func(ctx context.Context, of alotwebhook.Store, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
			f.State = state
			return of.Deliveries(ctx, f)
		})
	}
	return map[string]mutant{
		"UnfinishedIsPending": {as(alotwebhook.StatePending), []string{"History/Unfinished", "History/Filters"}},
		"UnfinishedIsAll":     {as(""), []string{"History/Unfinished", "History/Filters"}},
		"UnfinishedIsUnknown": {as("none"), []string{"History/Unfinished", "History/Filters", "History/Pages", "History/RareInMany"}},
		"UnfinishedInParts":   {by(unfinishedInParts), []string{"History/Unfinished"}},
		"UnfinishedIsShown": {
			by(func(ctx context.Context, of alotwebhook.Store, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
				page, next, err := of.Deliveries(ctx, f)
				for i := range page {
					page[i].State = f.State
				}
				return page, next, err
			}),
			[]string{"History/Unfinished"},
		},
	}
}

// endpointsBy selects endpoints in another way.
type endpointsBy struct {
	alotwebhook.Store
	matches func(alotwebhook.Endpoint, alotwebhook.EndpointFilter) bool
}

func (s endpointsBy) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	all, _, err := s.Store.Endpoints(ctx, alotwebhook.EndpointFilter{OrganizationID: f.OrganizationID, IDs: f.IDs, Cursor: f.Cursor, Limit: many})
	all = slices.DeleteFunc(all, func(e alotwebhook.Endpoint) bool { return !s.matches(e, f) })
	if limit := cmp.Or(f.Limit, 100); len(all) > limit {
		return all[:limit], all[limit-1].ID, err
	}
	return all, "", err
}

func isFailing(e alotwebhook.Endpoint) bool { return !e.Disabled && !e.FailingSince.IsZero() }

// matchesState is what the contract says of Failing and Disabled.
func matchesState(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
	return !f.Failing && !f.Disabled || f.Failing && isFailing(e) || f.Disabled && e.Disabled
}

// matchesPart is what the contract says of URLPart, for URLs and parts in ASCII.
func matchesPart(url, part string) bool {
	return strings.Contains(strings.ToLower(url), strings.ToLower(part))
}

// matchesLike is LIKE in SQL.
func matchesLike(url, part string) bool {
	pattern := strings.NewReplacer("%", ".*", "_", ".").Replace(regexp.QuoteMeta(part))
	return regexp.MustCompile("(?is)" + pattern).MatchString(url)
}

// matchesEscaped is LIKE with a backslash before each % and _, but not before each backslash.
func matchesEscaped(url, part string) bool {
	pattern := strings.NewReplacer("%", `\%`, "_", `\_`).Replace(part)
	literal, escaped := "", false
	for _, r := range pattern {
		switch {
		case escaped || r != '\\' && r != '%' && r != '_':
			literal, escaped = literal+regexp.QuoteMeta(string(r)), false
		case r == '\\':
			escaped = true
		case r == '%':
			literal += ".*"
		default:
			literal += "."
		}
	}
	return regexp.MustCompile("(?is)" + literal).MatchString(url)
}

// matchesGlob is GLOB without its brackets.
func matchesGlob(url, part string) bool {
	pattern := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(part))
	return regexp.MustCompile("(?is)" + pattern).MatchString(url)
}

// matchesPattern takes a part for a regular expression, if it is one.
func matchesPattern(url, part string) bool {
	pattern, err := regexp.Compile("(?is)" + part)
	return err == nil && pattern.MatchString(url)
}

// endpointsAfterPage reads a page and then leaves out what does not match.
type endpointsAfterPage struct{ alotwebhook.Store }

func (s endpointsAfterPage) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	all, next, err := s.Store.Endpoints(ctx, alotwebhook.EndpointFilter{OrganizationID: f.OrganizationID, IDs: f.IDs, Cursor: f.Cursor, Limit: f.Limit})
	return slices.DeleteFunc(all, func(e alotwebhook.Endpoint) bool { return !matchesState(e, f) || !matchesPart(e.URL, f.URLPart) }), next, err
}

// endpointsGivesUp ends the list after the first hundred.
type endpointsGivesUp struct{ alotwebhook.Store }

func (s endpointsGivesUp) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	if !f.Failing && !f.Disabled && f.URLPart == "" {
		return s.Store.Endpoints(ctx, f)
	}
	first, _, err := s.Store.Endpoints(ctx, alotwebhook.EndpointFilter{Limit: 100})
	page, next, pageErr := s.Store.Endpoints(ctx, f)
	if last := len(page) - 1; err == nil && last >= 0 && len(first) == 100 && page[last].ID > first[99].ID {
		return slices.DeleteFunc(page, func(e alotwebhook.Endpoint) bool { return e.ID > first[99].ID }), "", nil
	}
	return page, next, pageErr
}

// endpointFilterMutants are stores with a fault in how they select endpoints.
func endpointFilterMutants() map[string]mutant {
	by := func(matches func(alotwebhook.Endpoint, alotwebhook.EndpointFilter) bool) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store { return endpointsBy{s, matches} }
	}
	state := func(matches func(alotwebhook.Endpoint, alotwebhook.EndpointFilter) bool, found ...string) mutant {
		return mutant{by(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
			return matches(e, f) && matchesPart(e.URL, f.URLPart)
		}), found}
	}
	part := func(matches func(url, part string) bool, found ...string) mutant {
		return mutant{by(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
			return matchesState(e, f) && matches(e.URL, f.URLPart)
		}), found}
	}
	return map[string]mutant{
		"FailingWithDisabledOnes": state(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
			return matchesState(e, f) || f.Failing && !e.FailingSince.IsZero()
		}, "Endpoints/Failing", "Endpoints/FiltersTogether"),
		"FailingIgnored": state(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
			return !f.Disabled || matchesState(e, f)
		}, "Endpoints/Failing", "Endpoints/FilterPages"),
		"DisabledIgnored": state(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
			return !f.Failing || isFailing(e)
		}, "Endpoints/Failing", "Endpoints/FilterPages"),
		"FailingAndDisabled": state(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
			return (!f.Failing || isFailing(e)) && (!f.Disabled || e.Disabled)
		}, "Endpoints/Failing", "Endpoints/FiltersTogether", "Endpoints/FilterPages"),
		"FailingBeforeDisabled": state(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
			f.Disabled = f.Disabled && !f.Failing
			return matchesState(e, f)
		}, "Endpoints/Failing"),
		"URLPartIgnored":   part(func(string, string) bool { return true }, "Endpoints/URLPart", "Endpoints/FilterPages"),
		"URLPartCased":     part(strings.Contains, "Endpoints/URLPart", "Endpoints/FilterPages"),
		"URLPartLike":      part(matchesLike, "Endpoints/URLPartLiteral"),
		"URLPartEscaped":   part(matchesEscaped, "Endpoints/URLPartLiteral"),
		"URLPartGlob":      part(matchesGlob, "Endpoints/URLPartLiteral"),
		"URLPartIsPattern": part(matchesPattern, "Endpoints/URLPartLiteral"),
		"URLPartAtStart": part(func(url, part string) bool {
			return strings.HasPrefix(strings.ToLower(url), strings.ToLower(part))
		}, "Endpoints/URLPart", "Endpoints/URLPartLiteral"),
		"URLPartFolded": part(func(url, part string) bool {
			return strings.Contains(strings.ToLower(url), strings.ToLower(strings.ToUpper(part)))
		}, "Endpoints/URLPart"),
		"URLPartWithoutAccents": part(func(url, part string) bool { return matchesPart(url, withoutAccents(part)) }, "Endpoints/URLPart"),
		"URLPartTrimmed":        part(func(url, part string) bool { return matchesPart(url, strings.TrimSpace(part)) }, "Endpoints/URLPart", "Endpoints/URLPartLiteral"),
		"URLPartCut":            part(func(url, part string) bool { return matchesPart(url, part[:min(len(part), 20)]) }, "Endpoints/URLPart"),
		"AnyFieldOfEndpoint": {
			by(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
				return (f.Failing || f.Disabled) && matchesState(e, f) || f.URLPart != "" && matchesPart(e.URL, f.URLPart) || !f.Failing && !f.Disabled && f.URLPart == ""
			}),
			[]string{"Endpoints/FiltersTogether"},
		},
		"IDsAlone": {
			by(func(e alotwebhook.Endpoint, f alotwebhook.EndpointFilter) bool {
				return len(f.IDs) > 0 || matchesState(e, f) && matchesPart(e.URL, f.URLPart)
			}),
			[]string{"Endpoints/FiltersTogether"},
		},
		"EndpointsAfterPage": {
			func(s alotwebhook.Store) alotwebhook.Store { return endpointsAfterPage{s} },
			[]string{"Endpoints/Failing", "Endpoints/URLPart", "Endpoints/FilterPages"},
		},
		"EndpointsGivesUp": {
			func(s alotwebhook.Store) alotwebhook.Store { return endpointsGivesUp{s} },
			[]string{"Endpoints/FilterPages"},
		},
	}
}
