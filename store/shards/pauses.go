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
	out   int                 // how many calls are under way
	slow  bool                // one of them was not waited for
	known bool                // it has answered once, with
	list  []alotwebhook.Pause // these
}

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
		return fmt.Errorf("%w: pause of organization %.40q, endpoint %.40q", alotwebhook.ErrNotFound, organizationID, endpointID)
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
	told, err := s.askForPauses(ctx)
	if err != nil {
		return nil, err
	}
	type key struct{ organizationID, endpointID string }
	all := map[key]alotwebhook.Pause{}
	for _, sh := range s.shards {
		list, now := told[sh]
		if !now {
			list = s.knownPauses(sh)
		}
		for _, p := range list {
			if k := (key{p.OrganizationID, p.EndpointID}); s.holdsBack(sh, p, now) && !all[k].At.After(p.At) {
				all[k] = p
			}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b alotwebhook.Pause) int {
		return cmp.Or(cmp.Compare(a.OrganizationID, b.OrganizationID), cmp.Compare(a.EndpointID, b.EndpointID))
	}), nil
}

// holdsBack reports whether a pause counts that stands in a shard. now says that the shard tells so.
// A pause of an organization that has left the shard does not count.
func (s *Store) holdsBack(sh *shard, p alotwebhook.Pause, now bool) bool {
	if p.OrganizationID == "" {
		return now
	}
	list, err := s.placesOf(p.OrganizationID)
	return err != nil || slices.Contains(list, sh)
}

func (s *Store) knownPauses(sh *shard) []alotwebhook.Pause {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sh.pauses.list
}

// askForPauses returns the pauses of the shards that answer in time, as Pauses says.
func (s *Store) askForPauses(ctx context.Context) (told map[*shard][]alotwebhook.Pause, err error) {
	told = map[*shard][]alotwebhook.Pause{}
	var errs []error
	asked, wait := s.askableForPauses()
	answers := ask(context.WithoutCancel(ctx), asked, inTime(s.readPauses))
	patience := time.NewTimer(wait)
	defer patience.Stop()
	for range asked {
		select {
		case a := <-answers:
			if a.err == nil {
				told[a.shard] = a.value
			} else {
				errs = append(errs, a.shard.explain(a.err))
			}
			continue
		case <-patience.C:
			s.leavePauses(asked)
		case <-ctx.Done():
		}
		break
	}
	if len(told) == 0 {
		return nil, cmp.Or(joined(errs), ctx.Err(), errors.New("alotwebhook: shards: no shard has told its pauses in time"))
	}
	return told, nil
}

// askableForPauses returns the shards of which nobody waits in vain for an answer, and how long to
// wait for theirs.
func (s *Store) askableForPauses() (askable []*shard, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = s.patience
	for _, sh := range s.shards {
		of := &sh.pauses
		if sh.pauser == nil || of.slow && of.out > 0 {
			continue
		}
		of.out++
		askable = append(askable, sh)
		if !of.known {
			wait = max(wait, illTimeout)
		}
	}
	return askable, wait
}

// readPauses reads the pauses of a shard, and keeps them for when it does not answer.
func (s *Store) readPauses(ctx context.Context, sh *shard) ([]alotwebhook.Pause, error) {
	list, err := sh.pauser.Pauses(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	of := &sh.pauses
	of.out--
	of.slow = false
	if err == nil {
		of.known, of.list = true, list
	}
	return list, err
}

// leavePauses notes that those of the shards that have not answered are not waited for.
func (s *Store) leavePauses(asked []*shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range asked {
		sh.pauses.slow = sh.pauses.out > 0
	}
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
