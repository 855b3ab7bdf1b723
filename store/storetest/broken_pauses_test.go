package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// brokenPauser has pauses with a fault. What it leaves out is as it should be.
type brokenPauser struct {
	alotwebhook.Store
	alotwebhook.Pauser
	put    func(ctx context.Context, s *brokenPauser, p alotwebhook.Pause, ops []alotwebhook.Operation) error
	remove func(ctx context.Context, s *brokenPauser, organizationID, endpointID string, ops []alotwebhook.Operation) error
	list   func(all []alotwebhook.Pause) []alotwebhook.Pause
}

func (s *brokenPauser) PutPause(ctx context.Context, p alotwebhook.Pause, ops ...alotwebhook.Operation) error {
	if s.put != nil {
		return s.put(ctx, s, p, ops)
	}
	return s.Pauser.PutPause(ctx, p, ops...)
}

func (s *brokenPauser) DeletePause(ctx context.Context, organizationID, endpointID string, ops ...alotwebhook.Operation) error {
	if s.remove != nil {
		return s.remove(ctx, s, organizationID, endpointID, ops)
	}
	return s.Pauser.DeletePause(ctx, organizationID, endpointID, ops...)
}

func (s *brokenPauser) Pauses(ctx context.Context) ([]alotwebhook.Pause, error) {
	all, err := s.Pauser.Pauses(ctx)
	if s.list != nil {
		all = s.list(all)
	}
	return all, err
}

// stored returns the pause that is stored, or a new one.
func (s *brokenPauser) stored(ctx context.Context, p alotwebhook.Pause) (alotwebhook.Pause, error) {
	all, err := s.Pauser.Pauses(ctx)
	for _, of := range all {
		if of.OrganizationID == p.OrganizationID && of.EndpointID == p.EndpointID {
			return of, err
		}
	}
	return p, err
}

// removesAll removes every pause that which selects beside the one that is meant.
func removesAll(which func(of alotwebhook.Pause, organizationID, endpointID string) bool) func(context.Context, *brokenPauser, string, string, []alotwebhook.Operation) error {
	return func(ctx context.Context, s *brokenPauser, organizationID, endpointID string, ops []alotwebhook.Operation) error {
		all, err := s.Pauser.Pauses(ctx)
		for _, of := range all {
			if which(of, organizationID, endpointID) && (of.OrganizationID != organizationID || of.EndpointID != endpointID) {
				err = errors.Join(err, s.Pauser.DeletePause(ctx, of.OrganizationID, of.EndpointID))
			}
		}
		return errors.Join(err, s.Pauser.DeletePause(ctx, organizationID, endpointID, ops...))
	}
}

// pausesEnd removes the pause of an endpoint with the endpoint, or old pauses when it purges.
type pausesEnd struct {
	*brokenPauser
	withEndpoint bool
}

func (s pausesEnd) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	e, err := s.brokenPauser.Endpoint(ctx, id)
	if err == nil && s.withEndpoint {
		_ = s.Pauser.DeletePause(ctx, e.OrganizationID, id)
	}
	return s.brokenPauser.DeleteEndpoint(ctx, id, ops...)
}

func (s pausesEnd) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	all, err := s.Pauser.Pauses(ctx)
	for _, of := range all {
		if !s.withEndpoint && p.History > 0 && time.Since(of.At) > p.History {
			err = errors.Join(err, s.Pauser.DeletePause(ctx, of.OrganizationID, of.EndpointID))
		}
	}
	if err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	return s.brokenPauser.Purge(ctx, p)
}

// pausedIsLate counts what is paused, as if it were not, if late is set; otherwise it does not count
// it at all.
type pausedIsLate struct {
	*brokenPauser
	late bool
}

func (s pausedIsLate) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	all, err := s.Pauser.Pauses(ctx)
	if err != nil || len(all) == 0 {
		return s.brokenPauser.Stats(ctx)
	}
	if !s.late {
		return alotwebhook.Stats{}, nil
	}
	for _, of := range all {
		err = errors.Join(err, s.Pauser.DeletePause(ctx, of.OrganizationID, of.EndpointID))
	}
	st, e := s.brokenPauser.Stats(ctx)
	for _, of := range all {
		err = errors.Join(err, s.Pauser.PutPause(ctx, of))
	}
	return st, errors.Join(err, e)
}

// pauseMutants are stores with a fault in their pauses.
func pauseMutants() map[string]mutant {
	by := func(fault func(*brokenPauser), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store {
			broken := &brokenPauser{Store: s, Pauser: s.(alotwebhook.Pauser)}
			fault(broken)
			return broken
		}, found}
	}
	put := func(put func(ctx context.Context, s *brokenPauser, p alotwebhook.Pause, ops []alotwebhook.Operation) error, found ...string) mutant {
		return by(func(s *brokenPauser) { s.put = put }, found...)
	}
	changed := func(change func(*alotwebhook.Pause), found ...string) mutant {
		return put(func(ctx context.Context, s *brokenPauser, p alotwebhook.Pause, ops []alotwebhook.Operation) error {
			change(&p)
			return s.Pauser.PutPause(ctx, p, ops...)
		}, found...)
	}
	replaced := func(change func(before, p *alotwebhook.Pause), found ...string) mutant {
		return put(func(ctx context.Context, s *brokenPauser, p alotwebhook.Pause, ops []alotwebhook.Operation) error {
			before, err := s.stored(ctx, p)
			if err != nil {
				return err
			}
			change(&before, &p)
			return s.Pauser.PutPause(ctx, p, ops...)
		}, found...)
	}
	remove := func(remove func(ctx context.Context, s *brokenPauser, organizationID, endpointID string, ops []alotwebhook.Operation) error, found ...string) mutant {
		return by(func(s *brokenPauser) { s.remove = remove }, found...)
	}
	listed := func(list func([]alotwebhook.Pause) []alotwebhook.Pause, found ...string) mutant {
		return by(func(s *brokenPauser) { s.list = list }, found...)
	}
	before := func(ctx context.Context, s *brokenPauser, ops []alotwebhook.Operation) error {
		return storesBefore{s.Store}.before(ctx, ops)
	}
	late := func(late bool) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store {
			return pausedIsLate{&brokenPauser{Store: s, Pauser: s.(alotwebhook.Pauser)}, late}
		}, []string{"Pauses/NotLate"}}
	}
	return map[string]mutant{
		"PausedIsLate":       late(true),
		"PausedIsUncounted":  late(false),
		"PauseForgetsActor":  changed(func(p *alotwebhook.Pause) { p.Actor = "" }, "Pauses/KeepsAllFields", "Pauses/Replaces"),
		"PauseForgetsNote":   changed(func(p *alotwebhook.Pause) { p.Note = "" }, "Pauses/KeepsAllFields", "Pauses/Replaces"),
		"PauseNoteCut":       changed(func(p *alotwebhook.Pause) { p.Note = p.Note[:min(len(p.Note), 255)] }, "Pauses/KeepsAllFields"),
		"PauseActorCut":      changed(func(p *alotwebhook.Pause) { p.Actor = p.Actor[:min(len(p.Actor), 127)] }, "Pauses/KeepsAllFields"),
		"PauseInMillisecond": changed(func(p *alotwebhook.Pause) { p.At = p.At.Truncate(time.Millisecond) }, "Pauses/KeepsAllFields"),
		"PauseByOwnClock":    changed(func(p *alotwebhook.Pause) { p.At = time.Now() }, "Pauses/KeepsAllFields", "Pauses/Replaces"),
		"PauseFolded":        changed(func(p *alotwebhook.Pause) { p.OrganizationID = strings.ToLower(p.OrganizationID) }, "Pauses/Deletes", "Pauses/Order"),
		"PauseTrimmed":       changed(func(p *alotwebhook.Pause) { p.OrganizationID = strings.TrimSpace(p.OrganizationID) }, "Pauses/Deletes", "Pauses/Order"),
		"PauseOfOrganization": changed(func(p *alotwebhook.Pause) {
			if p.OrganizationID != "" {
				p.EndpointID = ""
			}
		}, "Pauses/KeepsAllFields", "Pauses/Replaces"),
		"PauseKeepsNote":  replaced(func(before, p *alotwebhook.Pause) { p.Note = before.Note }, "Pauses/Replaces"),
		"PauseKeepsActor": replaced(func(before, p *alotwebhook.Pause) { p.Actor = before.Actor }, "Pauses/Replaces"),
		"PauseKeepsTime":  replaced(func(before, p *alotwebhook.Pause) { p.At = before.At }, "Pauses/Replaces"),
		"PauseKeepsNoteIfNone": replaced(func(before, p *alotwebhook.Pause) {
			if p.Note == "" {
				p.Note = before.Note
			}
		}, "Pauses/Replaces"),
		"PauseOnce": put(func(ctx context.Context, s *brokenPauser, p alotwebhook.Pause, ops []alotwebhook.Operation) error {
			if before, err := s.stored(ctx, p); err != nil || before != p {
				return errors.Join(err, alotwebhook.ErrConflict)
			}
			return s.Pauser.PutPause(ctx, p, ops...)
		}, "Pauses/Replaces", "Pauses/Operations"),
		"PauseWithoutOperations": put(func(ctx context.Context, s *brokenPauser, p alotwebhook.Pause, _ []alotwebhook.Operation) error {
			return s.Pauser.PutPause(ctx, p)
		}, "Pauses/Operations", "Pauses/CutShort"),
		"PauseOperationsBefore": put(func(ctx context.Context, s *brokenPauser, p alotwebhook.Pause, ops []alotwebhook.Operation) error {
			if err := before(ctx, s, ops); err != nil {
				return err
			}
			return s.Pauser.PutPause(ctx, p)
		}, "Pauses/CutShort"),
		"PauseEndWithoutOperations": remove(func(ctx context.Context, s *brokenPauser, organizationID, endpointID string, _ []alotwebhook.Operation) error {
			return s.Pauser.DeletePause(ctx, organizationID, endpointID)
		}, "Pauses/Operations", "Pauses/CutShort"),
		"PauseEndOperationsBefore": remove(func(ctx context.Context, s *brokenPauser, organizationID, endpointID string, ops []alotwebhook.Operation) error {
			if err := before(ctx, s, ops); err != nil {
				return err
			}
			return s.Pauser.DeletePause(ctx, organizationID, endpointID)
		}, "Pauses/Operations", "Pauses/CutShort"),
		"PauseEndSilent": remove(func(ctx context.Context, s *brokenPauser, organizationID, endpointID string, ops []alotwebhook.Operation) error {
			if err := s.Pauser.DeletePause(ctx, organizationID, endpointID, ops...); !errors.Is(err, alotwebhook.ErrNotFound) {
				return err
			}
			return nil
		}, "Pauses/NotFound", "Pauses/Operations"),
		"PauseEndFolded": remove(func(ctx context.Context, s *brokenPauser, organizationID, endpointID string, ops []alotwebhook.Operation) error {
			return s.Pauser.DeletePause(ctx, strings.ToLower(strings.TrimSpace(organizationID)), strings.ToLower(endpointID), ops...)
		}, "Pauses/NotFound", "Pauses/Deletes"),
		"PauseEndsAll":            remove(removesAll(func(alotwebhook.Pause, string, string) bool { return true }), "Pauses/Deletes"),
		"PauseEndsOrganization":   remove(removesAll(func(of alotwebhook.Pause, organizationID, _ string) bool { return of.OrganizationID == organizationID }), "Pauses/Deletes"),
		"PauseEndsOrganizations":  remove(removesAll(func(of alotwebhook.Pause, _, endpointID string) bool { return of.EndpointID == endpointID }), "Pauses/Deletes"),
		"PausesReversed":          listed(func(all []alotwebhook.Pause) []alotwebhook.Pause { slices.Reverse(all); return all }, "Pauses/KeepsAllFields", "Pauses/Order"),
		"PausesOnOnePage":         listed(func(all []alotwebhook.Pause) []alotwebhook.Pause { return all[:min(len(all), 100)] }, "Pauses/Order"),
		"PausesOfEndpointsHidden": listed(func(all []alotwebhook.Pause) []alotwebhook.Pause { return all[:min(len(all), 1)] }, "Pauses/KeepsAllFields"),
		"PausesByEndpoint": listed(func(all []alotwebhook.Pause) []alotwebhook.Pause {
			slices.SortStableFunc(all, func(a, b alotwebhook.Pause) int { return strings.Compare(a.EndpointID, b.EndpointID) })
			return all
		}, "Pauses/Order"),
		"PausesByLocale": listed(func(all []alotwebhook.Pause) []alotwebhook.Pause {
			slices.SortStableFunc(all, func(a, b alotwebhook.Pause) int {
				return strings.Compare(strings.ToLower(a.OrganizationID), strings.ToLower(b.OrganizationID))
			})
			return all
		}, "Pauses/Order"),
		"PausesInZone": listed(func(all []alotwebhook.Pause) []alotwebhook.Pause {
			for i := range all {
				all[i].At = all[i].At.In(time.FixedZone("", 3600))
			}
			return all
		}, "Pauses/KeepsAllFields"),
		"PausesPurged": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return pausesEnd{&brokenPauser{Store: s, Pauser: s.(alotwebhook.Pauser)}, false}
			},
			[]string{"Pauses/Stays"},
		},
		"PausesGoWithEndpoint": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return pausesEnd{&brokenPauser{Store: s, Pauser: s.(alotwebhook.Pauser)}, true}
			},
			[]string{"Pauses/Stays"},
		},
	}
}
