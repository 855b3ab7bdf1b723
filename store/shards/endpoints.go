package shards

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

// Endpoint implements [alotwebhook.Endpoints]. Of an organization that moves, it returns the
// endpoint as its home has it.
func (s *Store) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	if organization, ok := s.organizations.get(id); ok {
		return s.endpointOf(ctx, organization, id)
	}
	e, err := find(ctx, s, s.shards, func(ctx context.Context, sh *shard) (alotwebhook.Endpoint, error) {
		return sh.store.Endpoint(ctx, id)
	}, s.isHomeOf)
	if err == nil {
		s.organizations.put(id, e.OrganizationID)
	}
	return e, err
}

// endpointOf returns an endpoint of a known organization. It asks no other shards than that
// organization's, also for an endpoint that was deleted.
func (s *Store) endpointOf(ctx context.Context, organizationID, id string) (e alotwebhook.Endpoint, err error) {
	list, err := s.placesOf(organizationID)
	if err != nil {
		return e, err
	}
	for _, sh := range list {
		if e, err = sh.store.Endpoint(ctx, id); !errors.Is(err, alotwebhook.ErrNotFound) {
			return e, sh.explain(err)
		}
	}
	return e, err
}

// isHomeOf reports whether a shard is the home of an endpoint that was found there.
func (s *Store) isHomeOf(sh *shard, e alotwebhook.Endpoint) bool {
	list, err := s.placesOf(e.OrganizationID)
	return err == nil && list[0] == sh
}

// PutEndpoint implements [alotwebhook.Endpoints]. While the organization moves, all its
// shards get the endpoint, and all of them must be there. Its home has the operations.
func (s *Store) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	list, err := s.placesOf(e.OrganizationID)
	if err != nil {
		return err
	}
	home, copies := list[0], list[1:]
	if len(copies) == 0 {
		return home.explain(home.store.PutEndpoint(ctx, e, ops...))
	}
	if e.Version == 0 {
		return s.addEndpoint(ctx, home, copies, e, ops)
	}
	return s.changeEndpoint(ctx, home, copies, e, ops)
}

// addEndpoint stores a new endpoint with its copies, or nowhere.
func (s *Store) addEndpoint(ctx context.Context, home *shard, copies []*shard, e alotwebhook.Endpoint, ops []alotwebhook.Operation) error {
	if err := home.store.PutEndpoint(ctx, e, ops...); err != nil {
		return home.explain(err)
	}
	err := mirror(ctx, home, copies, e.ID)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		_ = home.store.DeleteEndpoint(ctx, e.ID, undone(ops)...) // what cannot be undone,
		_ = mirror(ctx, home, copies, e.ID)                      // Mirror makes the same again
	}
	return err
}

// undone returns the operations that tell of an endpoint that was stored with ops and is taken back.
func undone(ops []alotwebhook.Operation) []alotwebhook.Operation {
	if len(ops) == 0 {
		return nil
	}
	o := ops[0]
	id, err := typeid.New("op")
	if err != nil {
		return nil
	}
	o.ID, o.Type, o.Note = id, alotwebhook.OpEndpointDeleted, "a shard of the organization was away"
	o.At, _ = typeid.Time("op", id)
	return []alotwebhook.Operation{o}
}

// changeEndpoint changes the copies of an endpoint and then the endpoint itself, so that
// after an error the caller may try again at the same version.
func (s *Store) changeEndpoint(ctx context.Context, home *shard, copies []*shard, e alotwebhook.Endpoint, ops []alotwebhook.Operation) error {
	stored, err := home.store.Endpoint(ctx, e.ID)
	if err == nil && stored.Version == e.Version {
		err = putCopies(ctx, copies, e)
	}
	if err == nil {
		err = home.explain(home.store.PutEndpoint(ctx, e, ops...)) // refuses another version
	}
	if again := mirror(ctx, home, copies, e.ID); err == nil {
		err = again
	}
	return err
}

// mirror makes the copies of an endpoint what it is at home. It reads the endpoint again at
// the end, so that of two that write at once the last one wins everywhere.
func mirror(ctx context.Context, home *shard, copies []*shard, id string) error {
	for version := int64(0); ; {
		e, err := home.store.Endpoint(ctx, id)
		switch {
		case errors.Is(err, alotwebhook.ErrNotFound):
			return deleteCopies(ctx, copies, id)
		case err != nil:
			return home.explain(err)
		case e.Version == version:
			return nil
		}
		version = e.Version
		if err := putCopies(ctx, copies, e); err != nil {
			return err
		}
	}
}

func putCopies(ctx context.Context, copies []*shard, e alotwebhook.Endpoint) error {
	for _, sh := range copies {
		if err := putCopy(ctx, sh, e); err != nil {
			return sh.explain(err)
		}
	}
	return nil
}

// putCopy stores a copy of an endpoint. Its version counts by itself, and an existing one
// knows by itself since when it fails.
func putCopy(ctx context.Context, sh *shard, e alotwebhook.Endpoint) error {
	for {
		stored, err := sh.store.Endpoint(ctx, e.ID)
		switch {
		case err == nil && isCopy(stored, e):
			return nil
		case err == nil:
			e.FailingSince = time.Time{}
		case !errors.Is(err, alotwebhook.ErrNotFound):
			return err
		}
		e.Version = stored.Version // 0 if there is none
		err = sh.store.PutEndpoint(ctx, e)
		if !errors.Is(err, alotwebhook.ErrConflict) && !errors.Is(err, alotwebhook.ErrNotFound) {
			return err
		}
	}
}

// isCopy reports whether a copy has all that an attempt or a person sees of an endpoint.
func isCopy(c, e alotwebhook.Endpoint) bool {
	return c.URL == e.URL && c.Description == e.Description && c.Secret == e.Secret && c.NextSecret == e.NextSecret && c.Credentials == e.Credentials &&
		c.NextSecretAt.Equal(e.NextSecretAt) && c.Disabled == e.Disabled && c.DisabledReason == e.DisabledReason && c.Warned == e.Warned &&
		slices.Equal(c.EventTypes, e.EventTypes) && c.UpdatedAt.Equal(e.UpdatedAt)
}

func deleteCopies(ctx context.Context, copies []*shard, id string) error {
	err := atEach(copies, func(sh *shard) error { return sh.store.DeleteEndpoint(ctx, id) })
	if errors.Is(err, alotwebhook.ErrNotFound) {
		return nil
	}
	return err
}

// Endpoints implements [alotwebhook.Endpoints].
func (s *Store) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	list, err := s.selected(f.OrganizationID)
	if err != nil {
		return nil, "", err
	}
	pages, err := gather(ctx, list, func(ctx context.Context, sh *shard) (page[alotwebhook.Endpoint], error) {
		items, next, err := sh.store.Endpoints(ctx, f)
		if err == nil && (f.Failing || f.Disabled || f.URLPart != "") {
			items, err = s.asAtHome(ctx, sh, items)
		}
		return page[alotwebhook.Endpoint]{items, next, sh}, err
	})
	if err != nil {
		return nil, "", err
	}
	items, next := join(pages, merging[alotwebhook.Endpoint]{
		limit: f.Limit, id: func(e *alotwebhook.Endpoint) string { return e.ID },
		better: func(sh *shard, e *alotwebhook.Endpoint) bool { return s.isHomeOf(sh, *e) },
	})
	return items, next, nil
}

// asAtHome leaves out the endpoints that have their home in another shard: if a filter selects them
// there, that shard tells. Those that their home does not have yet stay.
func (s *Store) asAtHome(ctx context.Context, sh *shard, list []alotwebhook.Endpoint) ([]alotwebhook.Endpoint, error) {
	elsewhere := map[*shard][]string{}
	for i := range list {
		places, err := s.placesOf(list[i].OrganizationID)
		if err != nil {
			return nil, err
		}
		if places[0] != sh {
			elsewhere[places[0]] = append(elsewhere[places[0]], list[i].ID)
		}
	}
	for home, ids := range elsewhere {
		there, _, err := home.store.Endpoints(ctx, alotwebhook.EndpointFilter{IDs: ids, Limit: len(ids)})
		if err != nil {
			return nil, home.explain(err)
		}
		list = slices.DeleteFunc(list, func(e alotwebhook.Endpoint) bool {
			return slices.ContainsFunc(there, func(of alotwebhook.Endpoint) bool { return of.ID == e.ID })
		})
	}
	return list, nil
}

// selected returns the shards of an organization, or all if it is "".
func (s *Store) selected(organizationID string) ([]*shard, error) {
	if organizationID == "" {
		return s.shards, nil
	}
	return s.placesOf(organizationID)
}

// DeleteEndpoint implements [alotwebhook.Endpoints]. The operations are stored in the endpoint's
// home, or in the first shard that has it if its home has not.
func (s *Store) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	list, err := s.placesOfEndpoint(ctx, id)
	if err != nil {
		return err
	}
	return atEach(list, func(sh *shard) error {
		err := sh.store.DeleteEndpoint(ctx, id, ops...)
		if !errors.Is(err, alotwebhook.ErrNotFound) {
			ops = nil
		}
		return err
	})
}

// Discard implements [alotwebhook.Endpoints].
func (s *Store) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (n int, err error) {
	list, err := s.placesOfEndpoint(ctx, endpointID)
	if err != nil {
		return 0, err
	}
	err = atEach(list, func(sh *shard) error {
		if n >= limit && n > 0 {
			return nil
		}
		some, err := sh.store.Discard(ctx, endpointID, before, limit-n)
		n += some
		return err
	})
	return n, err
}
