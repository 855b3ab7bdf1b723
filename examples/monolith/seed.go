package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
)

// demo is the organization that has something to look at from the beginning.
const demo = "org_demo"

// seed gives it endpoints and the history of a day, as a dispatcher would have
// recorded it. Nothing is sent: the attempts are made up. It is done once: where
// its first endpoint is stored already, so is the rest.
func seed(ctx context.Context, store alotwebhook.Store, address string) error {
	s := &seeding{store: store, now: time.Now(), random: rand.New(rand.NewPCG(1, 2)), plans: map[string]*plan{}}
	customers := demoCustomers(address, s.now)
	for i := range customers {
		err := s.register(ctx, &customers[i], i)
		if errors.Is(err, alotwebhook.ErrConflict) && i == 0 {
			return nil // seeded before, or being seeded by another process
		}
		if err != nil {
			return err
		}
	}
	if err := s.pastDay(ctx, customers); err != nil {
		return err
	}
	if err := s.tally(ctx); err != nil {
		return err
	}
	for i := range customers {
		if err := s.settle(ctx, &customers[i]); err != nil {
			return err
		}
	}
	return nil
}

// seeding is a seed under way.
type seeding struct {
	store  alotwebhook.Store
	now    time.Time
	random *rand.Rand          // the same history every time
	plans  map[string]*plan    // by delivery id
	events int                 // made so far
	made   []attemptOfEndpoint // for the tallies
}

type attemptOfEndpoint struct {
	endpointID string
	alotwebhook.Attempt
}

// plan is what became of a delivery.
type plan struct {
	endpointID string
	attempts   []alotwebhook.Attempt
	waits      bool // for a further attempt
}

// register stores an endpoint under an id that is always the same. Its URL is
// on loopback for now, whatever it becomes: another process on the same store
// may take part in delivering already.
func (s *seeding) register(ctx context.Context, c *customer, i int) error {
	created := s.now.Add(-time.Duration(90-20*i) * 24 * time.Hour)
	c.id = typeID("wh_", time.UnixMilli(1_767_225_600_000), uint64(i+1)) // the same after a restart
	return s.store.PutEndpoint(ctx, alotwebhook.Endpoint{
		ID: c.id, OrganizationID: demo, URL: "http://127.0.0.1:9/", Description: c.description, EventTypes: c.types,
		Secret: alotwebhook.NewSecret(), CreatedAt: created, UpdatedAt: created,
	})
}

// settle gives an endpoint the URL and the state that it has at the end.
func (s *seeding) settle(ctx context.Context, c *customer) error {
	for {
		e, err := s.store.Endpoint(ctx, c.id)
		if err != nil {
			return err
		}
		e.URL, e.Disabled, e.DisabledReason, e.FailingSince = c.url, c.disabled != "", c.disabled, c.failingSince
		if err = s.store.PutEndpoint(ctx, e); !errors.Is(err, alotwebhook.ErrConflict) {
			return err
		}
	}
}

// pastDay emits the events of a day and records what became of each.
func (s *seeding) pastDay(ctx context.Context, customers []customer) error {
	var events []alotwebhook.Event
	for _, at := range s.times() {
		event := s.event(at)
		events = append(events, event)
		for i := range customers {
			// Without a plan it waits: for an endpoint that is disabled by then.
			if c := &customers[i]; c.hears(event.Type) && c.until(s.now).After(at) {
				s.plan(c, event)
			}
		}
	}
	if err := s.store.Enqueue(ctx, events); err != nil {
		return err
	}
	for range 6 { // more rounds than any delivery has attempts
		more, err := s.round(ctx)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// times are when the events happened; the last ones so lately that a failed
// attempt still waits for the next.
func (s *seeding) times() (times []time.Time) {
	for at := s.now.Add(-24 * time.Hour); at.Before(s.now.Add(-8 * time.Minute)); at = at.Add(s.pause(at)) {
		times = append(times, at)
	}
	for _, ago := range []time.Duration{7, 5, 4, 2} {
		times = append(times, s.now.Add(-ago*time.Minute))
	}
	return times
}

// pause is how long it is to the next event: hours of work are busier.
func (s *seeding) pause(at time.Time) time.Duration {
	mean := 14 * time.Minute
	if hour := at.UTC().Hour(); hour >= 7 && hour < 18 {
		mean = 5 * time.Minute
	}
	return time.Minute/2 + time.Duration(s.random.ExpFloat64()*float64(mean))
}

// round records the next attempt of whatever is due. What is not of the seed is
// given back as it was.
func (s *seeding) round(ctx context.Context) (more bool, err error) {
	claim, err := s.store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 2000, PerEndpoint: 2000, Lease: time.Minute})
	if err != nil {
		return false, err
	}
	outcomes := make([]alotwebhook.Outcome, 0, len(claim.Deliveries))
	for _, c := range claim.Deliveries {
		o := alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StatePending}
		if p := s.plans[c.DeliveryID]; p != nil && c.Attempt <= len(p.attempts) {
			s.record(&o, p, c.Attempt)
			more = true
		}
		outcomes = append(outcomes, o)
	}
	_, err = s.store.Finish(ctx, outcomes)
	return more, err
}

// record makes the attempt of that number the outcome.
func (s *seeding) record(o *alotwebhook.Outcome, p *plan, number int) {
	o.Attempt = p.attempts[number-1]
	o.Attempt.Number = number
	s.made = append(s.made, attemptOfEndpoint{p.endpointID, o.Attempt})
	switch {
	case o.Attempt.Reason == "":
		o.State = alotwebhook.StateDelivered
	case number < len(p.attempts): // at once: the next round records the next attempt
	case p.waits:
		o.NextAttemptIn = time.Duration(2+s.random.IntN(8)) * time.Minute
	default:
		o.State = alotwebhook.StateFailed
	}
}

// plan makes up what becomes of a delivery.
func (s *seeding) plan(c *customer, event alotwebhook.Event) {
	p := &plan{endpointID: c.id}
	s.plans[alotwebhook.DeliveryID(event.ID, c.id)] = p
	at := event.Timestamp.Add(time.Duration(5+s.random.IntN(40)) * time.Millisecond)
	failing := !c.failingSince.IsZero() && at.After(c.failingSince)
	for _, wait := range []time.Duration{0, 30 * time.Second, 10 * time.Minute} {
		at = at.Add(time.Duration(float64(wait) * (0.8 + 0.4*s.random.Float64())))
		if at.After(s.now) {
			p.waits = true
			return
		}
		if !failing && s.random.Float64() > c.trouble {
			p.attempts = append(p.attempts, s.success(c, at))
			return
		}
		a := c.failures[s.random.IntN(len(c.failures))]
		a.StartedAt, a.Duration = at, s.around(max(a.Duration, c.latency))
		p.attempts = append(p.attempts, a)
		at = at.Add(a.Duration)
	}
}

func (s *seeding) success(c *customer, at time.Time) alotwebhook.Attempt {
	return alotwebhook.Attempt{
		StartedAt: at, Duration: s.around(c.latency), StatusCode: http.StatusOK, ResponseBody: `{"received":true}`,
	}
}

// around varies a duration: mostly a little, at times a lot.
func (s *seeding) around(d time.Duration) time.Duration {
	return min(time.Duration(float64(d)*(0.7+0.4*s.random.ExpFloat64())), 15*time.Second)
}

// tally adds to the charts what a dispatcher would have counted.
func (s *seeding) tally(ctx context.Context) error {
	store, ok := s.store.(alotwebhook.Tallier)
	if !ok {
		return nil
	}
	tallies := make([]alotwebhook.Tally, 0, len(s.made))
	for _, a := range s.made {
		t := alotwebhook.Tally{EndpointID: a.endpointID, Hour: a.StartedAt.UTC().Truncate(time.Hour), Duration: a.Duration, Slowest: a.Duration}
		if a.Reason == "" {
			t.Succeeded = 1
		} else {
			t.Reasons = map[alotwebhook.FailureReason]int64{a.Reason: 1}
		}
		tallies = append(tallies, t)
	}
	return store.AddTallies(ctx, tallies)
}

var (
	firstNames = []string{"Amara", "Ben", "Chiara", "Dev", "Elif", "Femi", "Grace", "Hiro", "Ines", "Jane", "Kofi", "Lena"}
	lastNames  = []string{"Adeyemi", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ivanova", "Smith"}
)

// event makes one up that happened at that time.
func (s *seeding) event(at time.Time) alotwebhook.Event {
	s.events++
	at = at.UTC().Truncate(time.Millisecond)
	first, last := firstNames[s.random.IntN(len(firstNames))], lastNames[s.random.IntN(len(lastNames))]
	data := map[string]any{
		"sessionId": fmt.Sprintf("sess_%04d", 1000+s.events), "assessmentId": fmt.Sprintf("asm_%d", 400+s.random.IntN(6)),
		"candidateName": first + " " + last, "candidateEmail": fmt.Sprintf("candidate%d@example.com", s.events),
	}
	e := alotwebhook.Event{
		ID: typeID("evt_", at, s.random.Uint64()), Timestamp: at, OrganizationID: demo, Type: alotwebhook.EventCandidateCompleted,
	}
	switch n := s.random.IntN(20); {
	case n < 7:
		e.Type, data["status"] = alotwebhook.EventCandidateInvited, "INVITED"
	case n < 16:
		data["score"], data["status"] = 40+s.random.IntN(60), "COMPLETED"
	case n < 19:
		e.Type, data["score"], data["status"] = alotwebhook.EventCandidateDisqualified, 5+s.random.IntN(30), "DISQUALIFIED"
	default:
		e.Type = alotwebhook.EventAssessmentPublished
		data = map[string]any{"assessmentId": data["assessmentId"], "status": "PUBLISHED"}
	}
	e.Data, _ = json.Marshal(data) // strings and numbers always encode
	return e
}

// typeID is an id of a time that is past, which alotwebhook.NewEvent does not
// make: a UUIDv7 in the form that all ids have.
func typeID(prefix string, at time.Time, random uint64) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16|0x7000|random>>52)
	binary.BigEndian.PutUint64(id[8:], 1<<63|random<<2>>2)
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var text [26]byte
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = digits[low&31]
		high, low = high>>5, low>>5|high<<59
	}
	return prefix + string(text[:])
}
