package shards

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/pace"
)

const (
	// claimTimeout bounds the claim of one shard. A dispatcher's leases allow for as much.
	claimTimeout = 10 * time.Second
	// doubtfulPause is the least time between two claims, of one delivery each, of a shard
	// that takes no outcomes: what is sent then is sent again if the process is killed.
	doubtfulPause = time.Second
	// leaveTimeout is how long the end of all claims waits for the shards to hear of it.
	leaveTimeout = time.Second
)

// claims is how the claims of a shard fare. Store.mu guards it.
type claims struct {
	out     int       // calls that are under way and that nobody waits for
	suspect bool      // the last call failed, or was not in time
	next    time.Time // there is no claim before
	err     error     // of the last call
	weight  int       // its share of a claim
	leaving bool      // what comes late is given back
	episode pace.Episode
	// How Finish fares: the calls under way, by numbers of their own, and how many have
	// failed since the last that has not.
	finishes map[int64]time.Time
	numbered int64
	failed   int
}

// late is what came from a shard after Claim had left it.
type late struct {
	shard *shard
	list  []alotwebhook.Claimed
	stale time.Time // when so much of the lease has passed that it must not be sent any more
}

// claim is where a delivery was claimed.
type claim struct {
	shard *shard
	token int64
}

// call is a claim of one shard.
type call struct {
	share
	lease time.Duration
	began time.Time
	got   alotwebhook.ClaimResult
	err   error
	// Store.mu guards these.
	over, left bool // the shard has answered; Claim does not wait for it any more
}

// claiming is one call of [Store.Claim].
type claiming struct {
	s        *Store
	request  alotwebhook.ClaimRequest
	given    map[string]int  // deliveries by endpoint id, without tests
	tested   map[string]bool // endpoints of which a test was given
	at       map[string]int  // where a delivery stands in the result
	done     map[*shard]bool
	answered bool
	result   alotwebhook.ClaimResult
}

// Claim implements [alotwebhook.Queue]. It asks all shards at once, each for its share, and
// then those that had more for what the others left. A shard that does not answer is left
// after [Config.Patience]: what it gives later comes with the next claim, or is given back
// unsent. The error is that of all shards if none of them can be claimed from.
func (s *Store) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if err := ended(ctx); err != nil {
		return alotwebhook.ClaimResult{}, err
	}
	if c.Limit < 1 {
		return alotwebhook.ClaimResult{}, s.leave(ctx, c)
	}
	// A shard may read the maps after the caller has got them back.
	c.Busy, c.Withheld = maps.Clone(c.Busy), maps.Clone(c.Withheld)
	k := &claiming{s: s, request: c, given: map[string]int{}, tested: map[string]bool{}, at: map[string]int{}, done: map[*shard]bool{}}
	k.takeLate()
	for k.room() > 0 {
		shares := k.shares()
		if len(shares) == 0 {
			break
		}
		k.ask(ctx, shares)
	}
	if !k.answered && len(k.result.Deliveries) == 0 {
		return alotwebhook.ClaimResult{}, s.claimError()
	}
	return k.result, nil
}

func (k *claiming) room() int { return k.request.Limit - len(k.result.Deliveries) }

// claimError returns the errors of the shards that failed last; nil while one has not
// answered yet.
func (s *Store) claimError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, sh := range s.shards {
		if sh.claims.out > 0 {
			return nil
		}
		if sh.claims.err != nil {
			errs = append(errs, sh.explain(sh.claims.err))
		}
	}
	return joined(errs)
}

// share is how many deliveries a shard is asked for.
type share struct {
	shard        *shard
	trusted      bool // it used to be in time
	doubtful     bool // it seems to take no outcomes
	weight, most int
	limit        int
}

// shares returns what to ask of the shards that may have more. It begins with another one
// each time.
func (k *claiming) shares() []share {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	now, n := time.Now(), len(k.s.shards)
	var list []share
	for i := range n {
		sh := k.s.shards[(k.s.turn+i)%n]
		c := &sh.claims
		if k.done[sh] || c.out > 0 || now.Before(c.next) {
			continue
		}
		c.leaving = false
		one := share{shard: sh, trusted: !c.suspect, doubtful: c.isDoubtful(now), weight: c.weight, most: k.room()}
		if one.doubtful {
			one.most = 1
		}
		list = append(list, one)
	}
	k.s.turn = (k.s.turn + 1) % n
	list = split(list, k.room())
	for _, one := range list {
		if one.doubtful {
			one.shard.claims.next = now.Add(doubtfulPause)
			time.AfterFunc(doubtfulPause, k.s.wake)
		}
	}
	return list
}

// split gives each share one while there is room, and the rest by their weights; what
// rounding leaves goes to the first. It returns the shares that got any.
func split(list []share, room int) []share {
	list = list[:min(room, len(list))]
	sum, left := 0, room
	for i := range list {
		sum += list[i].weight
	}
	rest := room - len(list)
	for i := range list {
		one := &list[i]
		one.limit = 1 + min(rest*one.weight/sum, one.most-1)
		left -= one.limit
	}
	for i := range list {
		more := min(left, list[i].most-list[i].limit)
		list[i].limit += more
		left -= more
	}
	return list
}

// ask claims from these shards and takes what comes in time. It waits for the shards that
// used to be in time, and for the others only if there are no such.
func (k *claiming) ask(ctx context.Context, shares []share) {
	answers := make(chan *call, len(shares))
	calls := make([]*call, len(shares))
	trusted := 0
	for i, one := range shares {
		if one.trusted {
			trusted++
		}
		calls[i] = k.s.begin(ctx, one, k.requestTo(one), answers)
	}
	wanted := cmp.Or(trusted, len(calls))
	patience := time.NewTimer(k.s.patience)
	defer patience.Stop()
	for wanted > 0 {
		select {
		case c := <-answers:
			if c.trusted || trusted == 0 {
				wanted--
			}
			k.take(c)
			continue
		case <-patience.C:
		case <-ctx.Done():
		}
		break
	}
	k.leave(calls, answers)
}

// requestTo returns the request to one shard. What this claim has got already takes slots.
func (k *claiming) requestTo(one share) alotwebhook.ClaimRequest {
	c := k.request
	c.Limit = one.limit
	if len(k.given) == 0 {
		return c
	}
	c.Busy = maps.Clone(c.Busy)
	if c.Busy == nil {
		c.Busy = map[string]int{}
	}
	for id, n := range k.given {
		c.Busy[id] = c.PerEndpoint - max(k.request.Free(id, "")-n, 0)
	}
	return c
}

// begin starts a claim of one shard. Its answer goes to answers, or to s.late if Claim has
// left it by then. The end of the caller's context does not end it: what it has leased then
// would wait until the lease has run out.
func (s *Store) begin(ctx context.Context, one share, request alotwebhook.ClaimRequest, answers chan<- *call) *call {
	c := &call{share: one, lease: request.Lease, began: time.Now()}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
		defer cancel()
		got, err := one.shard.store.Claim(ctx, request)
		s.mu.Lock()
		defer s.mu.Unlock()
		c.got, c.err, c.over = got, err, true
		s.judge(c)
		if c.left {
			s.takeBack(c)
			return
		}
		answers <- c
	}()
	return c
}

// judge notes how a claim of a shard has fared. The caller holds mu.
func (s *Store) judge(c *call) {
	of := &c.shard.claims
	of.err = c.err
	if c.err != nil {
		wait := of.episode.Failed(c.err)
		of.suspect, of.next = true, time.Now().Add(wait)
		time.AfterFunc(wait, s.wake)
		return
	}
	of.episode.Over()
	of.suspect = time.Since(c.began) > s.patience
	of.weight = weight(c)
}

// weight returns the share of the next claims that a shard should have: by its endpoints
// that had due deliveries, and twice as many if there may be more.
func weight(c *call) int {
	endpoints := map[string]bool{}
	for i := range c.got.Deliveries {
		endpoints[c.got.Deliveries[i].Endpoint.ID] = true
	}
	n := len(endpoints)
	if n == c.limit {
		n *= 2
	}
	return max(n, 1)
}

// take takes the answer of a shard.
func (k *claiming) take(c *call) {
	if c.err != nil {
		k.done[c.shard] = true
		return
	}
	k.answered = true
	if next := c.got.NextIn; next > 0 && (k.result.NextIn == 0 || next < k.result.NextIn) {
		k.result.NextIn = next
	}
	before := len(k.result.Deliveries)
	k.s.giveBack(c.shard, k.hand(c.shard, c.got.Deliveries))
	if nothingNew := len(k.result.Deliveries) == before; nothingNew || len(c.got.Deliveries) < c.limit || c.doubtful {
		k.done[c.shard] = true
	}
}

// hand hands deliveries out while their endpoints have slots, and returns the others. There
// are others if slots were lost while a late answer waited, or if an endpoint is in two
// shards because its organization moves.
func (k *claiming) hand(sh *shard, list []alotwebhook.Claimed) (over []alotwebhook.Claimed) {
	k.result.Deliveries = slices.Grow(k.result.Deliveries, len(list))
	for i := range list {
		d, e := &list[i], list[i].Endpoint
		if at, again := k.at[d.DeliveryID]; again { // its lease has run out meanwhile
			k.s.noteClaim(d.DeliveryID, claim{sh, d.Token})
			k.result.Deliveries[at] = *d
			continue
		}
		if k.room() == 0 || !k.fits(d) {
			over = append(over, *d)
			continue
		}
		k.s.organizations.put(e.ID, e.OrganizationID)
		k.s.noteClaim(d.DeliveryID, claim{sh, d.Token})
		k.at[d.DeliveryID] = len(k.result.Deliveries)
		k.result.Deliveries = append(k.result.Deliveries, *d)
	}
	return over
}

// fits takes a slot of the endpoint for a delivery, unless none is free. A test takes none: while any is
// free, a claim has one test besides.
func (k *claiming) fits(d *alotwebhook.Claimed) bool {
	id := d.Endpoint.ID
	free := k.request.Free(id, d.Endpoint.OrganizationID)
	switch {
	case d.Test && (free == 0 || k.tested[id]), !d.Test && free <= k.given[id]:
		return false
	case d.Test:
		k.tested[id] = true
	default:
		k.given[id]++
	}
	return true
}

// leave takes what has come, and leaves the calls that have not.
func (k *claiming) leave(calls []*call, answers <-chan *call) {
	k.s.mu.Lock()
	for _, c := range calls {
		if !c.over {
			c.left = true
			k.done[c.shard] = true
			c.shard.claims.out++
			c.shard.claims.suspect = true
		}
	}
	k.s.mu.Unlock()
	for {
		select {
		case c := <-answers:
			k.take(c)
		default:
			return
		}
	}
}
