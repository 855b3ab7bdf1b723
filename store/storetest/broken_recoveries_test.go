package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
)

// recoveryWithoutVersion ignores the version of recoveries.
type recoveryWithoutVersion struct{ alotwebhook.Store }

func (s recoveryWithoutVersion) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	err := s.Store.PutRecovery(ctx, r, ops...)
	for errors.Is(err, alotwebhook.ErrConflict) {
		stored, _, readErr := s.Recoveries(ctx, alotwebhook.RecoveryFilter{EndpointID: r.EndpointID})
		if readErr != nil {
			return readErr
		}
		if r.Version = 0; len(stored) > 0 {
			r.Version = stored[0].Version
		}
		err = s.Store.PutRecovery(ctx, r, ops...)
	}
	return err
}

// recoveryPut stores a recovery with a change.
type recoveryPut struct {
	alotwebhook.Store
	change func(*alotwebhook.Recovery)
}

func (s recoveryPut) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	s.change(&r)
	return s.Store.PutRecovery(ctx, r, ops...)
}

// recoveryKeepsNote keeps the note of the recovery before if the new one has none.
type recoveryKeepsNote struct{ alotwebhook.Store }

func (s recoveryKeepsNote) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	before, _, err := s.Recoveries(ctx, alotwebhook.RecoveryFilter{EndpointID: r.EndpointID})
	if err == nil && len(before) > 0 && r.Note == "" {
		r.Note = before[0].Note
	}
	return s.Store.PutRecovery(ctx, r, ops...)
}

// recoveryKeepsSubject keeps whom an erasure was about when that is done.
type recoveryKeepsSubject struct{ alotwebhook.Store }

func (s recoveryKeepsSubject) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	before, _, err := s.Recoveries(ctx, alotwebhook.RecoveryFilter{EndpointID: r.EndpointID})
	if err == nil && len(before) > 0 && r.Subject == "" {
		r.Subject = before[0].Subject
	}
	return s.Store.PutRecovery(ctx, r, ops...)
}

// recoveriesShown shows recoveries with a change, after a purge or always.
type recoveriesShown struct {
	alotwebhook.Store
	change func(page []alotwebhook.Recovery) []alotwebhook.Recovery
	always bool
	purged atomic.Bool
}

func (s *recoveriesShown) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if p.History > 0 {
		s.purged.Store(true)
	}
	return s.Store.Purge(ctx, p)
}

func (s *recoveriesShown) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	page, next, err := s.Store.Recoveries(ctx, f)
	if s.always || s.purged.Load() {
		page = s.change(page)
	}
	return page, next, err
}

func overMany(r alotwebhook.Recovery) bool { return strings.HasPrefix(r.EndpointID, "rec_") }

// recoveryMany selects recoveries over many endpoints in another way.
type recoveryMany struct {
	alotwebhook.Store
	is func(alotwebhook.Recovery) bool
}

func (s recoveryMany) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	wanted := f.Many
	f.Many = false
	page, next, err := s.Store.Recoveries(ctx, f)
	return slices.DeleteFunc(page, func(r alotwebhook.Recovery) bool { return wanted && !s.is(r) }), next, err
}

// recoveryStateIgnored ignores a field of the filter.
type recoveryStateIgnored struct{ alotwebhook.Store }

func (s recoveryStateIgnored) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	f.State = ""
	return s.Store.Recoveries(ctx, f)
}

// recoveryGoesWithEndpoint hides the recovery of a deleted endpoint.
type recoveryGoesWithEndpoint struct{ alotwebhook.Store }

func (s recoveryGoesWithEndpoint) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	page, next, err := s.Store.Recoveries(ctx, f)
	return slices.DeleteFunc(page, func(r alotwebhook.Recovery) bool {
		_, err := s.Endpoint(ctx, r.EndpointID)
		return errors.Is(err, alotwebhook.ErrNotFound)
	}), next, err
}

// recoveryMutants are stores with a fault in their recoveries.
func recoveryMutants() map[string]mutant {
	put := func(change func(*alotwebhook.Recovery), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return recoveryPut{s, change} }, found}
	}
	purged := func(gone func(alotwebhook.Recovery) bool, found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store {
			return &recoveriesShown{Store: s, change: func(page []alotwebhook.Recovery) []alotwebhook.Recovery { return slices.DeleteFunc(page, gone) }}
		}, found}
	}
	all := map[string]mutant{
		"RecoveryWithoutVersion": {
			func(s alotwebhook.Store) alotwebhook.Store { return recoveryWithoutVersion{s} },
			[]string{"Recoveries/Conflict", "Recoveries/ConcurrentWriters", "Recoveries/OverMany"},
		},
		"RecoveryStateIgnored": {
			func(s alotwebhook.Store) alotwebhook.Store { return recoveryStateIgnored{s} },
			[]string{"Recoveries/Filters", "Recoveries/OverMany"},
		},
		"RecoveryGoesWithEndpoint": {
			func(s alotwebhook.Store) alotwebhook.Store { return recoveryGoesWithEndpoint{s} },
			[]string{"Recoveries/OutlivesEndpoint", "Recoveries/Purge", "Recoveries/OverMany"},
		},
		"RecoveryKeepsNote": {
			func(s alotwebhook.Store) alotwebhook.Store { return recoveryKeepsNote{s} },
			[]string{"Recoveries/KeepsAllFields"},
		},
		"RecoveryKeepsSubject": {
			func(s alotwebhook.Store) alotwebhook.Store { return recoveryKeepsSubject{s} },
			[]string{"Recoveries/KeepsAllFields"},
		},
		"RecoverySince1970": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return &recoveriesShown{Store: s, always: true, change: func(page []alotwebhook.Recovery) []alotwebhook.Recovery {
					for i := range page {
						if page[i].FailedUntil.IsZero() {
							page[i].FailedUntil = time.Unix(0, 0).UTC()
						}
					}
					return page
				}}
			},
			[]string{"Recoveries/KeepsAllFields"},
		},
		"RecoveryInZone": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return &recoveriesShown{Store: s, always: true, change: func(page []alotwebhook.Recovery) []alotwebhook.Recovery {
					for i := range page {
						page[i].FailedSince = page[i].FailedSince.In(time.FixedZone("", 3600))
					}
					return page
				}}
			},
			[]string{"History/UTC"},
		},
		"RecoveryManyIgnored": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return recoveryMany{s, func(alotwebhook.Recovery) bool { return true }}
			},
			[]string{"Recoveries/OverMany"},
		},
		"RecoveryManyOfAll": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return recoveryMany{s, func(r alotwebhook.Recovery) bool { return r.OrganizationID == "" }}
			},
			[]string{"Recoveries/OverMany"},
		},
		"RecoveryManyAfterPage": {
			func(s alotwebhook.Store) alotwebhook.Store { return recoveryMany{s, overMany} },
			[]string{"Recoveries/OverMany"},
		},
		"RecoveryOfOrganization": put(func(r *alotwebhook.Recovery) {
			if overMany(*r) {
				r.EndpointID = "rec_" + r.OrganizationID
			}
		}, "Recoveries/OverMany"),
		"RecoveryManyKept": put(func(r *alotwebhook.Recovery) {
			if overMany(*r) {
				r.UpdatedAt = time.Now().UTC() // so that it is never old
			}
		}, "Recoveries/PurgeOverMany"),
		"RecoveryInWholeSeconds": put(func(r *alotwebhook.Recovery) { r.Until = r.Until.Truncate(time.Second) }, "Recoveries/KeepsAllFields"),
		"RecoveryNoteCut":        put(func(r *alotwebhook.Recovery) { r.Note = r.Note[:min(len(r.Note), 255)] }, "Recoveries/KeepsAllFields"),
		"RecoveryActorCut":       put(func(r *alotwebhook.Recovery) { r.Actor = r.Actor[:min(len(r.Actor), 127)] }, "Recoveries/KeepsAllFields"),
		"PurgesCanceling":        purged(func(r alotwebhook.Recovery) bool { return r.State == alotwebhook.RecoveryCanceling }, "Recoveries/PurgeOverMany"),
		"PurgesDiscarding":       purged(func(r alotwebhook.Recovery) bool { return r.State == alotwebhook.RecoveryDiscarding }, "Recoveries/PurgeOverMany"),
		"PurgesErasing":          purged(func(r alotwebhook.Recovery) bool { return r.State == alotwebhook.RecoveryErasing }, "Recoveries/PurgeOverMany"),
		"PurgesRemoving":         purged(func(r alotwebhook.Recovery) bool { return r.State == alotwebhook.RecoveryRemoving }, "Recoveries/PurgeOverMany"),
		"PurgesManyAtOnce":       purged(func(r alotwebhook.Recovery) bool { return overMany(r) && !r.State.Active() }, "Recoveries/PurgeOverMany"),
	}
	for field, forget := range map[string]func(*alotwebhook.Recovery){
		"EventID":     func(r *alotwebhook.Recovery) { r.EventID = "" },
		"EventType":   func(r *alotwebhook.Recovery) { r.EventType = "" },
		"Reason":      func(r *alotwebhook.Recovery) { r.Reason = "" },
		"FailedSince": func(r *alotwebhook.Recovery) { r.FailedSince = r.FailedSince.Truncate(time.Millisecond) },
		"FailedUntil": func(r *alotwebhook.Recovery) { r.FailedUntil = r.FailedUntil.Truncate(time.Millisecond) },
		"Subject":     func(r *alotwebhook.Recovery) { r.Subject = r.Subject[:min(len(r.Subject), 127)] },
		"Actor":       func(r *alotwebhook.Recovery) { r.Actor = "" },
		"Note":        func(r *alotwebhook.Recovery) { r.Note = "" },
	} {
		all["RecoveryForgets"+field] = put(forget, "Recoveries/KeepsAllFields")
	}
	return all
}
