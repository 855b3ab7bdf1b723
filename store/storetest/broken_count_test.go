package storetest_test

import (
	"context"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

// countsCursor counts only what is still to come.
func countsCursor(r *alotwebhook.Recovery) {
	if at, ok := typeid.Time("dlv", r.Cursor); ok {
		r.Until = at
	}
}

// countsOneKey has no delivery for the id of a recovery over many endpoints, as if it were one of them.
func countsOneKey(r *alotwebhook.Recovery) {
	if strings.HasPrefix(r.EndpointID, "rec_") {
		r.EndpointID = "wh_none"
	}
}

// countsReasonsOfAttempts knows only the reasons that attempts have.
func countsReasonsOfAttempts(r *alotwebhook.Recovery) {
	switch r.Reason {
	case alotwebhook.ReasonCanceled, alotwebhook.ReasonDiscarded, alotwebhook.ReasonEndpointDeleted, alotwebhook.ReasonExpired:
		r.Reason = "none"
	}
}

// countsUnwanted counts what was canceled, although no reason is named.
func countsUnwanted(ctx context.Context, s *brokenSurveyor, r alotwebhook.Recovery, c *alotwebhook.Count) {
	if r.Reason == "" && r.State != alotwebhook.RecoveryCanceling {
		r.Reason = alotwebhook.ReasonCanceled
		canceled, _ := s.Surveyor.Count(ctx, r)
		c.Deliveries += canceled.Deliveries
	}
}

// countsParked counts parked deliveries so many times.
func countsParked(times int64) func(context.Context, *brokenSurveyor, alotwebhook.Recovery, *alotwebhook.Count) {
	return func(ctx context.Context, s *brokenSurveyor, r alotwebhook.Recovery, c *alotwebhook.Count) {
		if r.State == alotwebhook.RecoveryCanceling && r.EndpointID == "" {
			parked, _, _ := s.Deliveries(ctx, alotwebhook.Filter{State: alotwebhook.StateParked, Limit: many})
			c.Deliveries += (times - 1) * int64(len(parked))
		}
	}
}

// later moves a bound.
func later(at *time.Time, by time.Duration) {
	if !at.IsZero() {
		*at = at.Add(by)
	}
}

// countMutants are stores with a fault in what they count.
func countMutants() map[string]mutant {
	by := func(change func(*alotwebhook.Recovery), found ...string) mutant {
		return surveys(func(s *brokenSurveyor) { s.recovery = change }, found...)
	}
	result := func(change func(*alotwebhook.Count), found ...string) mutant {
		return surveys(func(s *brokenSurveyor) {
			s.count = func(_ context.Context, _ *brokenSurveyor, _ alotwebhook.Recovery, c *alotwebhook.Count) { change(c) }
		}, found...)
	}
	return map[string]mutant{
		"CountAfterTheEnd":         surveys(func(s *brokenSurveyor) { s.endless = true }, "Survey/Ended"),
		"CountOrganizationIgnored": by(func(r *alotwebhook.Recovery) { r.OrganizationID = "" }, "Survey/CountFields", "Survey/CountMany"),
		"CountOrganizationFolded":  by(func(r *alotwebhook.Recovery) { r.OrganizationID = strings.ToLower(r.OrganizationID) }, "Survey/CountFields"),
		"CountEndpointIgnored":     by(func(r *alotwebhook.Recovery) { r.EndpointID = "" }, "Survey/CountFields"),
		"CountEventIgnored":        by(func(r *alotwebhook.Recovery) { r.EventID = "" }, "Survey/CountFields"),
		"CountTypeIgnored":         by(func(r *alotwebhook.Recovery) { r.EventType = "" }, "Survey/CountFields"),
		"CountUnwanted":            surveys(func(s *brokenSurveyor) { s.count = countsUnwanted }, "Survey/CountStates"),
		"CountReasonIgnored":       by(func(r *alotwebhook.Recovery) { r.Reason = "" }, "Survey/CountFields", "Survey/CountStates"),
		"CountReasonsOfAttempts":   by(countsReasonsOfAttempts, "Survey/CountStates"),
		"CountStateIgnored":        by(func(r *alotwebhook.Recovery) { r.State = "" }, "Survey/CountFields", "Survey/CountStates", "Survey/CountSinceUntil"),
		"CountAllCanceling":        by(func(r *alotwebhook.Recovery) { r.State = alotwebhook.RecoveryCanceling }, "Survey/CountFields", "Survey/CountStates"),
		"CountCanceledCanceling": by(func(r *alotwebhook.Recovery) {
			if r.State == alotwebhook.RecoveryCanceled {
				r.State = alotwebhook.RecoveryCanceling
			}
		}, "Survey/CountStates"),
		"CountFailedSinceIgnored":   by(func(r *alotwebhook.Recovery) { r.FailedSince = time.Time{} }, "Survey/CountFailedBounds"),
		"CountFailedUntilIgnored":   by(func(r *alotwebhook.Recovery) { r.FailedUntil = time.Time{} }, "Survey/CountFailedBounds"),
		"CountFailedSinceExclusive": by(func(r *alotwebhook.Recovery) { later(&r.FailedSince, 1) }, "Survey/CountFailedBounds"),
		"CountFailedUntilInclusive": by(func(r *alotwebhook.Recovery) { later(&r.FailedUntil, 1) }, "Survey/CountFailedBounds"),
		"CountFailedInSeconds": by(func(r *alotwebhook.Recovery) {
			r.FailedSince, r.FailedUntil = r.FailedSince.Truncate(time.Second), r.FailedUntil.Truncate(time.Second)
		}, "Survey/CountFailedBounds"),
		"CountSinceIgnored":   by(func(r *alotwebhook.Recovery) { r.Since = time.Time{} }, "Survey/CountSinceUntil"),
		"CountUntilIgnored":   by(func(r *alotwebhook.Recovery) { r.Until = time.Time{} }, "Survey/CountSinceUntil"),
		"CountSinceRoundedUp": by(func(r *alotwebhook.Recovery) { later(&r.Since, time.Millisecond-1) }, "Survey/CountSinceUntil"),
		"CountUntilRoundedUp": by(func(r *alotwebhook.Recovery) { later(&r.Until, time.Millisecond-1) }, "Survey/CountSinceUntil"),
		"CountUntilInclusive": by(func(r *alotwebhook.Recovery) { later(&r.Until, time.Millisecond) }, "Survey/CountSinceUntil"),
		"CountCursor":         by(countsCursor, "Survey/CountMany"),
		"CountSinceOldest":    by(func(r *alotwebhook.Recovery) { r.Since = r.Oldest }, "Survey/CountMany"),
		"CountOneKey":         by(countsOneKey, "Survey/CountFields", "Survey/CountFailedBounds", "Survey/CountMany"),
		"CountOnePage":        result(func(c *alotwebhook.Count) { c.Deliveries = min(c.Deliveries, 1000) }, "Survey/CountMany"),
		"CountEndpointsTwice": result(func(c *alotwebhook.Count) { c.Endpoints = c.Deliveries }, "Survey/CountFields", "Survey/CountMany"),
		"CountOneOrganization": result(func(c *alotwebhook.Count) { c.Organizations = min(c.Organizations, 1) },
			"Survey/CountFields", "Survey/CountStates", "Survey/CountMany"),
		"CountOrganizationOfEach": result(func(c *alotwebhook.Count) { c.Organizations = c.Endpoints }, "Survey/CountFields", "Survey/CountMany"),
		"CountWithoutParked":      surveys(func(s *brokenSurveyor) { s.count = countsParked(0) }, "Survey/CountStates"),
		"CountParkedTwice":        surveys(func(s *brokenSurveyor) { s.count = countsParked(2) }, "Survey/CountStates"),
	}
}
