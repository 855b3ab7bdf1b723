package shards

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// A pause stands in every shard whose deliveries it holds back: that of an organization, or of an
// endpoint, in the organization's shards, and that of all in all shards. So no shard that is down
// can let go what others hold back.

// pauses are what is known of a shard's pauses. Store.mu guards it.
type pauses struct {
	shard *shard
	out   bool                // it is being asked
	known bool                // it has answered once, with
	list  []alotwebhook.Pause // these
	err   error               // what the last call has said
}

func (p *pauses) isCurrent() bool { return !p.out && p.err == nil }

// PutPause implements [alotwebhook.Pauser]. All shards that it concerns must be there. After an
// error some of them hold back already; call it again. The operations are stored in the first of
// them: from then on all tell of the pause.
func (s *Store) PutPause(ctx context.Context, p alotwebhook.Pause, ops ...alotwebhook.Operation) error {
	list, err := s.placesOfPause(ctx, p.OrganizationID)
	if err != nil {
		return err
	}
	return atEach(list, func(sh *shard) error {
		err := soon(ctx, list, func(ctx context.Context) error { return sh.pauser.PutPause(ctx, p, ops...) })
		if err == nil {
			ops = nil
		}
		return err
	})
}

// DeletePause implements [alotwebhook.Pauser]. All shards that it concerns must be there. After an
// error the pause is over in some of them; call it again, or it is back with the others. The
// operations are stored in the last of those that have it: until then it holds back.
func (s *Store) DeletePause(ctx context.Context, organizationID, endpointID string, ops ...alotwebhook.Operation) error {
	list, err := s.placesOfPause(ctx, organizationID)
	if err != nil {
		return err
	}
	var lists [][]alotwebhook.Pause
	away := soon(ctx, list, func(ctx context.Context) (err error) {
		lists, err = answersOf(ctx, list, func(ctx context.Context, sh *shard) ([]alotwebhook.Pause, error) { return sh.pauser.Pauses(ctx) })
		return err
	})
	var have []*shard
	for i, of := range lists {
		if slices.ContainsFunc(of, func(p alotwebhook.Pause) bool {
			return p.OrganizationID == organizationID && p.EndpointID == endpointID
		}) {
			have = append(have, list[i])
		}
	}
	if away == nil && len(have) == 0 {
		return fmt.Errorf("%w: pause of organization %q, endpoint %q", alotwebhook.ErrNotFound, organizationID, endpointID)
	}
	failed := away
	err = atEach(have, func(sh *shard) error {
		var told []alotwebhook.Operation
		if failed == nil && sh == have[len(have)-1] {
			told = ops
		}
		err := soon(ctx, list, func(ctx context.Context) error {
			return sh.pauser.DeletePause(ctx, organizationID, endpointID, told...)
		})
		failed = cmp.Or(failed, err)
		return err
	})
	return cmp.Or(err, away)
}

// placesOfPause returns the shards that have an organization's pauses, those that fail at the moment
// last. All of them must keep pauses.
func (s *Store) placesOfPause(ctx context.Context, organizationID string) ([]*shard, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	list, err := s.selected(organizationID)
	if err != nil {
		return nil, err
	}
	for _, sh := range list {
		if sh.pauser == nil {
			return nil, sh.explain(fmt.Errorf("it keeps no pauses: %w", errors.ErrUnsupported))
		}
	}
	well, ill := s.byHealth(list)
	return slices.Concat(well, ill), nil
}

// soon calls do for one of the shards of list. If there are others, one that hangs does not hold them
// up for long.
func soon(ctx context.Context, list []*shard, do func(context.Context) error) error {
	if len(list) == 1 {
		return do(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, illTimeout)
	defer cancel()
	return do(ctx)
}

// Pauses implements [alotwebhook.Pauser]. Of a shard that does not answer within [Config.Patience]
// it takes those that it had before, but for that of all, which others tell of. A shard that has
// never answered gets 3 seconds, and is left out then. The error says so if none answers.
func (s *Store) Pauses(ctx context.Context) ([]alotwebhook.Pause, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(s.shards, func(sh *shard) bool { return sh.pauser != nil }) {
		return nil, fmt.Errorf("alotwebhook: shards: no shard keeps pauses: %w", errors.ErrUnsupported)
	}
	s.askForPauses(ctx)
	type key struct{ organizationID, endpointID string }
	all, answered := map[key]alotwebhook.Pause{}, false
	known, err := s.knownPauses()
	for _, of := range known {
		answered = answered || of.isCurrent()
		for _, p := range of.list {
			if k := (key{p.OrganizationID, p.EndpointID}); s.holdsBack(of, p) && !all[k].At.After(p.At) {
				all[k] = p
			}
		}
	}
	if !answered {
		return nil, cmp.Or(err, ctx.Err(), errNoPauses)
	}
	return slices.SortedFunc(maps.Values(all), func(a, b alotwebhook.Pause) int {
		return cmp.Or(cmp.Compare(a.OrganizationID, b.OrganizationID), cmp.Compare(a.EndpointID, b.EndpointID))
	}), nil
}

var errNoPauses = errors.New("alotwebhook: shards: no shard has told its pauses in time")

// holdsBack reports whether a pause that stands in a shard counts. One of an organization that has
// left the shard does not.
func (s *Store) holdsBack(of pauses, p alotwebhook.Pause) bool {
	if p.OrganizationID == "" {
		return of.isCurrent()
	}
	list, err := s.placesOf(p.OrganizationID)
	return err != nil || slices.Contains(list, of.shard)
}

// knownPauses returns what is known of the pauses of each shard that keeps any, and what those say
// that fail.
func (s *Store) knownPauses() (known []pauses, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, sh := range s.shards {
		if sh.pauser == nil {
			continue
		}
		known = append(known, sh.pauses)
		if sh.pauses.err != nil {
			errs = append(errs, sh.explain(sh.pauses.err))
		}
	}
	return known, joined(errs)
}

// askForPauses asks all shards for their pauses, and waits as Pauses says. What comes later is there
// for the next time.
func (s *Store) askForPauses(ctx context.Context) {
	free, wait := s.askableForPauses()
	answers := ask(context.WithoutCancel(ctx), free, inTime(s.readPauses))
	patience := time.NewTimer(wait)
	defer patience.Stop()
	for range free {
		select {
		case <-answers:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// askableForPauses returns the shards that are not being asked yet, and how long to wait for them.
func (s *Store) askableForPauses() (free []*shard, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = s.patience
	for _, sh := range s.shards {
		if of := &sh.pauses; sh.pauser != nil && !of.out {
			of.out, free = true, append(free, sh)
			if !of.known {
				wait = max(wait, illTimeout)
			}
		}
	}
	return free, wait
}

// readPauses reads the pauses of a shard into what is known of it.
func (s *Store) readPauses(ctx context.Context, sh *shard) (struct{}, error) {
	list, err := sh.pauser.Pauses(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := &sh.pauses; err == nil {
		*of = pauses{shard: sh, known: true, list: list}
	} else {
		of.out, of.err = false, err
	}
	return struct{}{}, err
}

// mirrorPauses has the pauses of an organization, or all with "", stand in every shard where they
// should.
func (s *Store) mirrorPauses(ctx context.Context, organizationID string) error {
	list, err := s.Pauses(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	for _, p := range list {
		if err == nil && (organizationID == "" || organizationID == p.OrganizationID) {
			err = s.PutPause(ctx, p)
		}
	}
	return err
}

// deletePauses deletes an organization's pauses from a shard.
func (sh *shard) deletePauses(ctx context.Context, organizationID string) error {
	if sh.pauser == nil {
		return nil
	}
	list, err := sh.pauser.Pauses(ctx)
	for _, p := range list {
		if err == nil && p.OrganizationID == organizationID {
			err = sh.pauser.DeletePause(ctx, p.OrganizationID, p.EndpointID)
		}
	}
	return err
}
