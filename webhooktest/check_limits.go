package webhooktest

import (
	"fmt"
	"net/http"
	"slices"
)

const keepsUpCheck = "keeps-up"

// keepsUp finds a receiver that takes good events at first, and then none: behind a limit of requests, banned by a
// firewall, or because a request has ended it. What it responds from then on says nothing of what it was sent.
var keepsUp = check{
	name:   keepsUpCheck,
	about:  "Good events are accepted from the first request to the last.",
	change: "Look at the receiver's own log: did it end, or is it stuck, since the check that is named here? Or does something in front of it keep a sender out after some wrong signatures? Then lift that for this test.",
	good:   true,
	run: func(p *probe) string {
		if p.lost == "" {
			if a := p.send(p.good()); !a.ok() {
				p.isLost(keepsUpCheck, "sent a good event: "+a.String())
			}
		}
		if p.limits {
			p.change = liftLimit
		}
		return p.lost
	},
}

const liftLimit = "Lift the limit of requests for this test, also in a framework or proxy in front: about ninety come within seconds. A sender catches up as fast after an outage, so let the limit be well above that, and respond with 429 or 503, which make it try again."

// send sends a shot and returns the response. It notices when that is one of a limit of requests, and no answer
// to the shot.
func (p *probe) send(s shot) response {
	a := p.exchange(s)
	p.last = a.status
	if a.ok() {
		p.taken, p.unsure = p.taken || !p.refused, nil
	}
	switch {
	case p.lost != "":
	case a.status == http.StatusTooManyRequests:
		p.limited(a)
	case a.status == http.StatusServiceUnavailable && p.taken && p.retried().status == a.status:
		p.limited(a)
	}
	return a
}

// limited notes that the receiver limits requests.
func (p *probe) limited(a response) {
	p.limits = true
	p.lose(a.String(), fmt.Sprintf("the receiver limits requests (%d)", a.status))
}

// retried sends a good event, and another if it is not accepted: one bad moment is no fault. It returns the last
// response.
func (p *probe) retried() response {
	a := p.exchange(p.good())
	if !a.ok() {
		a = p.exchange(p.good())
	}
	return a
}

// isLost finds out, after a problem, whether good events are still accepted.
func (p *probe) isLost(check, problem string) {
	if p.lost != "" || !p.taken || check == timeCheck || p.cause != "" || p.ctx.Err() != nil {
		return
	}
	a := p.retried()
	switch {
	case a.ok(), p.ctx.Err() != nil:
	case a.status == http.StatusTooManyRequests, a.status == http.StatusServiceUnavailable:
		p.limited(a)
	case check == firstCheck && (a.err == nil || a.isPanic()): // the handler fails over a second event, and the check says so
	default:
		p.last = a.status
		p.lose(problem, "the receiver takes no good events any more")
	}
}

// lose has all that follows not made.
func (p *probe) lose(happened, why string) {
	p.lost = "good events are not accepted any more since the check " + p.name + ": " + happened
	if !p.taken {
		p.lost = "no good event was judged: " + happened
	}
	by := keepsUpCheck
	if slices.Contains(p.Skip, keepsUpCheck) {
		by = p.name // a check that is left out hides nothing
	}
	p.cause, p.why = by, why+", see "+by
}

// notMade returns the finding of the check in which good events ceased to be accepted: that is no finding of its own,
// unless the check that would say so is left out.
func (p *probe) notMade(f Finding) Finding {
	f.Problem, f.Skipped = "", p.why
	if p.cause == f.Check {
		f.Problem, f.Skipped, f.Change = p.lost, "", keepsUp.change
		if p.limits {
			f.Change = liftLimit
		}
	}
	return f
}

// unproven is a check that has passed although no response since has shown that the receiver still takes anything.
type unproven struct {
	name   string
	status int // of its last response
}

// takeBack has those of the findings not made that passed only because the receiver refused everything: by the very
// status that it refused good events with.
func (p *probe) takeBack(findings []Finding) {
	status, why := p.last, p.why
	switch {
	case p.lost != "" && !p.limits:
	case p.refused:
		status, why = p.refusal, refusesGood
	default:
		return
	}
	for i := range findings {
		if slices.Contains(p.unsure, unproven{findings[i].Check, status}) {
			findings[i].Skipped = why
		}
	}
}

const refusesGood = "the receiver refuses good events, see " + firstCheck
