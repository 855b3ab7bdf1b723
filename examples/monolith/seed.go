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

// demo is the organization with a history of the demonstration.
const demo = "org_demo"

// seed stores endpoints of demo and the history of a day, as a dispatcher would have
// stored it. It sends no request: the attempts are made up. If the first endpoint is stored
// already, seed does nothing.
func seed(ctx context.Context, store alotwebhook.Store, address string) error {
	s := &seeding{store: store, now: time.Now(), random: rand.New(rand.NewPCG(1, 2)), plans: map[string]*plan{}}
	customers := demoCustomers(address, s.now)
	for i := range customers {
		err := s.register(ctx, &customers[i], i)
		if errors.Is(err, alotwebhook.ErrConflict) && i == 0 {
			return nil // an earlier run or another process has seeded the store
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

// seeding is the state of seed.
type seeding struct {
	store  alotwebhook.Store
	now    time.Time
	random *rand.Rand          // has a fixed seed, so that the history is always the same
	plans  map[string]*plan    // keyed by delivery id
	events int                 // the number of events so far
	made   []attemptOfEndpoint // the attempts so far, for the tallies
}

type attemptOfEndpoint struct {
	endpointID string
	alotwebhook.Attempt
}

// plan is the course of one delivery.
type plan struct {
	endpointID string
	attempts   []alotwebhook.Attempt
	waits      bool // a further attempt is due later
}

// register stores an endpoint under an id that is always the same. Its URL is on loopback
// until settle, because another process on the same store may already be sending.
func (s *seeding) register(ctx context.Context, c *customer, i int) error {
	created := s.now.Add(-time.Duration(90-20*i) * 24 * time.Hour)
	c.id = typeID("wh_", time.UnixMilli(1_767_225_600_000), uint64(i+1)) // any fixed time makes the same id in every run
	return s.store.PutEndpoint(ctx, alotwebhook.Endpoint{
		ID: c.id, OrganizationID: demo, URL: "http://127.0.0.1:9/", Description: c.description, EventTypes: c.types,
		Secret: alotwebhook.NewSecret(), CreatedAt: created, UpdatedAt: created,
	}, c.happened(alotwebhook.OpEndpointCreated, created, "jane@example.com", ""))
}

// settle gives an endpoint its final URL and state.
func (s *seeding) settle(ctx context.Context, c *customer) error {
	for {
		e, err := s.store.Endpoint(ctx, c.id)
		if err != nil {
			return err
		}
		e.URL, e.Disabled, e.DisabledReason = c.url, c.disabled != "", c.disabled
		if err = s.store.PutEndpoint(ctx, e, c.operations(s.now)...); !errors.Is(err, alotwebhook.ErrConflict) {
			return err
		}
	}
}

// pastDay stores the events of a day, and the attempts of their deliveries.
func (s *seeding) pastDay(ctx context.Context, customers []customer) error {
	var events []alotwebhook.Event
	for _, at := range s.times() {
		event := s.event(at)
		events = append(events, event)
		for i := range customers {
			// A delivery without a plan stays pending: its endpoint is disabled at
			// that time, and settle parks the delivery.
			if c := &customers[i]; c.hears(event.Type) && c.until(s.now).After(at) {
				s.plan(c, event)
			}
		}
	}
	if err := s.store.Enqueue(ctx, events); err != nil {
		return err
	}
	for range 6 { // more than any delivery has attempts
		more, err := s.round(ctx)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// times returns the times of the events. The last ones are so recent that some deliveries
// still wait for a retry.
func (s *seeding) times() (times []time.Time) {
	for at := s.now.Add(-24 * time.Hour); at.Before(s.now.Add(-8 * time.Minute)); at = at.Add(s.pause(at)) {
		times = append(times, at)
	}
	for _, ago := range []time.Duration{7, 5, 4, 2} {
		times = append(times, s.now.Add(-ago*time.Minute))
	}
	return times
}

// pause returns the time until the next event. It is shorter during working hours.
func (s *seeding) pause(at time.Time) time.Duration {
	mean := 14 * time.Minute
	if hour := at.UTC().Hour(); hour >= 7 && hour < 18 {
		mean = 5 * time.Minute
	}
	return time.Minute/2 + time.Duration(s.random.ExpFloat64()*float64(mean))
}

// round stores the next attempt of each due delivery. It releases deliveries that are not
// part of the seed.
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

// record sets the outcome to the attempt with the given number.
func (s *seeding) record(o *alotwebhook.Outcome, p *plan, number int) {
	o.Attempt = p.attempts[number-1]
	o.Attempt.Number = number
	s.made = append(s.made, attemptOfEndpoint{p.endpointID, o.Attempt})
	switch {
	case o.Attempt.Reason == "":
		o.State = alotwebhook.StateDelivered
	case number < len(p.attempts): // due at once, so that the next round stores the next attempt
	case p.waits:
		o.NextAttemptIn = time.Duration(2+s.random.IntN(8)) * time.Minute
	default:
		o.State = alotwebhook.StateFailed
	}
}

// plan makes up the course of a delivery.
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

// around varies a duration at random: mostly a little, sometimes a lot.
func (s *seeding) around(d time.Duration) time.Duration {
	return min(time.Duration(float64(d)*(0.7+0.4*s.random.ExpFloat64())), 15*time.Second)
}

// tally stores the tallies that a dispatcher would have counted, for the charts.
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

// event makes up an event that happened at the given time.
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
	e.Data, _ = json.Marshal(data) // never fails for strings and numbers
	return e
}

// typeID returns an id with a time in the past: a UUIDv7 in the form of all ids.
// alotwebhook.NewEvent makes ids of the present time only.
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
