package shards

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
)

// PutRecovery implements [alotwebhook.Endpoints]. A recovery stays in the shard that has it. That
// of an endpoint begins in its organization's home, and one over many where the hash of its id says.
func (s *Store) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	list, err := s.placesOfRecovery(&r)
	if err != nil {
		return err
	}
	at := list[0]
	for _, sh := range list {
		if len(list) == 1 {
			break
		}
		stored, _, err := sh.store.Recoveries(ctx, alotwebhook.RecoveryFilter{EndpointID: r.EndpointID, Limit: 1})
		if err != nil {
			return sh.explain(err)
		}
		if len(stored) > 0 {
			at = sh
			break
		}
	}
	return at.explain(at.store.PutRecovery(ctx, r, ops...))
}

// placesOfRecovery returns the shards that may have a recovery: first the one where it begins.
func (s *Store) placesOfRecovery(r *alotwebhook.Recovery) ([]*shard, error) {
	if !isMany(r.EndpointID) {
		return s.placesOf(r.OrganizationID)
	}
	first := s.byName[s.byHash(r.EndpointID)[0]]
	if r.Version == 0 {
		return []*shard{first}, nil // its id is new
	}
	others := slices.DeleteFunc(slices.Clone(s.shards), func(sh *shard) bool { return sh == first })
	return append([]*shard{first}, others...), nil // there were fewer shards when it began
}

// isMany reports whether the recovery of that id is one over many endpoints.
func isMany(id string) bool { return strings.HasPrefix(id, "rec_") }

// Recoveries implements [alotwebhook.Endpoints]. Those of a shard that is down are left out
// of a list of all endpoints, so that the others go on; the error says so if none answers.
func (s *Store) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	get := func(ctx context.Context, sh *shard) (page[alotwebhook.Recovery], error) {
		items, next, err := sh.store.Recoveries(ctx, f)
		return page[alotwebhook.Recovery]{items, next, sh}, err
	}
	pages, err := s.recoveryPages(ctx, f.EndpointID, get)
	if err != nil {
		return nil, "", err
	}
	items, next := join(pages, merging[alotwebhook.Recovery]{limit: f.Limit, id: func(r *alotwebhook.Recovery) string { return r.EndpointID }})
	return items, next, nil
}

func (s *Store) recoveryPages(ctx context.Context, endpointID string, get func(context.Context, *shard) (page[alotwebhook.Recovery], error)) ([]page[alotwebhook.Recovery], error) {
	if isMany(endpointID) {
		first := s.byName[s.byHash(endpointID)[0]]
		if found, err := get(ctx, first); err == nil && len(found.items) > 0 {
			return []page[alotwebhook.Recovery]{found}, nil
		}
		return gather(ctx, s.shards, get)
	}
	if endpointID != "" {
		list, err := s.placesOfEndpoint(ctx, endpointID)
		if err != nil {
			return nil, err
		}
		return gather(ctx, list, get)
	}
	well, ill := s.byHealth(s.shards)
	pages, err := answersOf(ctx, well, inTime(get))
	if len(ill) > 0 { // those that are back get a moment
		short, cancel := context.WithTimeout(ctx, s.patience)
		defer cancel()
		more, other := answersOf(short, ill, get)
		pages, err = append(pages, more...), errors.Join(err, other)
	}
	for _, p := range pages {
		if p.of != nil { // one has answered
			return pages, ctx.Err()
		}
	}
	return nil, err
}
