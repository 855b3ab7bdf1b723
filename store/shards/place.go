package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/fault"
)

// ByHash places each organization on one of the named shards, by the hash of both names: as
// many organizations on each, and the same one in every process, on every machine and with
// every version of this package. The order of the names does not matter.
//
// The shard is the one with the highest score, where a score is the 64-bit FNV-1a hash of
// the shard's name, a zero byte and the organization's id, mixed by the last step of
// MurmurHash3. (This is rendezvous hashing.) With a name more, the new shard gets its share
// of the organizations, and no other organization changes its shard; with one less, only
// those of that shard do. A changed list moves organizations: docs/operating.md says how.
func ByHash(names ...string) func(organizationID string) []string {
	type candidate struct {
		name []string
		seed uint64 // the hash of the name and the zero byte
	}
	candidates := make([]candidate, len(names))
	for i, name := range slices.Sorted(slices.Values(names)) {
		candidates[i] = candidate{[]string{name}, fnv1a(fnvOffset, name+"\x00")}
	}
	return func(organizationID string) (best []string) {
		var most uint64
		for _, c := range candidates {
			if score := mix(fnv1a(c.seed, organizationID)); best == nil || score > most {
				best, most = c.name, score
			}
		}
		return best
	}
}

const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211

func fnv1a(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// mix spreads the last bytes, too, over all bits, which FNV hardly does.
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Moving joins two placements, for a move: the home is by the first, and the homes by the
// second come after it.
func Moving(home, other func(organizationID string) []string) func(organizationID string) []string {
	return func(organizationID string) []string {
		names := slices.Clone(home(organizationID))
		for _, name := range other(organizationID) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return names
	}
}

// Places returns the names of an organization's shards as [Config.Places] gives them, its
// home first. The error says so if there is none, or one that is no shard of the store.
func (s *Store) Places(organizationID string) ([]string, error) {
	list, err := s.placesOf(organizationID)
	return namesOf(list), err
}

func namesOf(list []*shard) []string {
	names := make([]string, len(list))
	for i, sh := range list {
		names[i] = sh.name
	}
	return names
}

// placesOf returns the shards of an organization, its home first.
func (s *Store) placesOf(organizationID string) ([]*shard, error) {
	names := s.places(organizationID)
	list := make([]*shard, 0, len(names))
	for _, name := range names {
		sh := s.byName[name]
		if sh == nil || slices.Contains(list, sh) {
			return nil, fmt.Errorf("alotwebhook: shards: Config.Places returns %q for the organization %q: %q is no shard, or twice in it; there are %q",
				names, organizationID, name, namesOf(s.shards))
		}
		list = append(list, sh)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("alotwebhook: shards: Config.Places returns no shard for the organization %q; there are %q", organizationID, namesOf(s.shards))
	}
	return list, nil
}

// placesOfEndpoint returns the shards that may have something of an endpoint, its home
// first: those of its organization, or all if it is unknown.
func (s *Store) placesOfEndpoint(ctx context.Context, id string) ([]*shard, error) {
	if organization, ok := s.organizations.get(id); ok {
		return s.placesOf(organization)
	}
	e, err := s.Endpoint(ctx, id)
	switch {
	case errors.Is(err, alotwebhook.ErrNotFound): // deleted, or never there
		return s.shards, nil
	case err != nil:
		return nil, err
	}
	return s.placesOf(e.OrganizationID)
}

// atEach calls change in one shard after the other, and joins what they say of one id: the
// error is ErrNotFound only if it is nowhere.
func atEach(list []*shard, change func(*shard) error) error {
	var missing, failed error
	found := false
	for _, sh := range list {
		err := change(sh)
		switch {
		case err == nil:
			found = true
		case errors.Is(err, alotwebhook.ErrNotFound):
			missing = err
		default:
			failed = errors.Join(failed, sh.explain(err))
		}
	}
	switch {
	case failed != nil:
		return failed
	case found:
		return nil
	}
	return missing
}

// joined joins the errors of several shards to one line.
func joined(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = strings.TrimPrefix(err.Error(), fault.Prefix)
	}
	return &several{text: fault.Prefix + strings.Join(texts, "; "), errs: errs}
}

// several is the errors of several shards.
type several struct {
	text string
	errs []error
}

func (e *several) Error() string   { return e.text }
func (e *several) Unwrap() []error { return e.errs }
