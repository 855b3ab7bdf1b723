package webhooktest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/alot/alotwebhook"
)

// Battery is [CheckReceiver] with settings. Only Secret must be set.
type Battery struct {
	// Secret is the one that the receiver verifies with.
	Secret alotwebhook.Secret

	// URL is where the requests go; a handler in the same process sees its path.
	// Defaults to "http://receiver.test/alot/webhook".
	URL string

	// EventType and Data are an event that the receiver is glad of, sent often
	// with other ids and with fields added to Data. Defaults to
	// "candidate.completed", and to its example in the catalogue.
	EventType string
	Data      json.RawMessage

	// OrganizationID is that of the events. Defaults to [OrganizationID].
	OrganizationID string

	// Handled tells how often the receiver has acted on an event. It is asked
	// after the answer: if the work is done later, wait for it here. Without it
	// only answers are judged, and whether a duplicate is acted on twice stays
	// unknown. Defaults to nil.
	Handled func(eventID string) int

	// MaxBodyBytes is the most that the receiver may take, in bytes; one more
	// must be refused with 413. Defaults to 8 MiB, 32 times the largest payload
	// that the sender sends at its defaults; at most 256 MiB.
	MaxBodyBytes int64

	// MaxAge is that of a receiver that refuses older events, see
	// [alotwebhook.ReceiverConfig]. Defaults to 0: events of last week are good
	// ones, as the sender redelivers them.
	MaxAge time.Duration

	// Timeout is how long the sender waits for an answer. Defaults to 15 s.
	Timeout time.Duration

	// StandardWebhooks signs with the headers of Standard Webhooks and not with
	// X-Alot-Signature, and tries forgeries of those: for a receiver that takes
	// them, see [alotwebhook.Verifier.AcceptStandard]. One that takes either form
	// is tried with each. Defaults to false.
	StandardWebhooks bool

	// Skip names checks that are left out, for what a receiver means to do
	// otherwise. Names are those of [Finding]; an unknown one fails.
	Skip []string
}

// Finding is the outcome of one check.
type Finding struct {
	// Check is the check's name, which stays the same over versions: "upper-case-hex".
	Check string
	// About says what is checked, as a sentence about a right receiver.
	About string
	// Problem says what the receiver did instead; empty when it is right.
	Problem string
	// Change says what to change when there is a problem.
	Change string
	// Skipped says why the check was not made; empty when it was.
	Skipped string
}

// OK reports whether the check found no fault. A check that was skipped found none.
func (f Finding) OK() bool { return f.Problem == "" }

// String is the finding in one line, or in four with what to change.
func (f Finding) String() string {
	switch {
	case f.Skipped != "":
		return f.Check + ": skipped: " + f.Skipped
	case f.OK():
		return f.Check + ": ok"
	}
	return fmt.Sprintf("%s: %s\n    right:  %s\n    change: %s", f.Check, f.Problem, f.About, f.Change)
}

// CheckReceiver runs the battery against a handler and fails the test with every
// fault that it finds, each with what to change. The receiver gets some ninety
// requests, among them events of type "candidate.completed" that it must handle.
//
// [Battery] has settings, and finds more when it can see what was handled.
func CheckReceiver(t testing.TB, handler http.Handler, secret alotwebhook.Secret) {
	t.Helper()
	Battery{Secret: secret}.CheckReceiver(t, handler)
}

// CheckReceiver is the function of that name, with these settings.
func (b Battery) CheckReceiver(t testing.TB, handler http.Handler) {
	t.Helper()
	for _, f := range b.check(t.Context(), inProcess(handler), true) {
		switch {
		case !f.OK():
			t.Errorf("webhooktest: %s", f)
		case f.Skipped != "":
			t.Logf("webhooktest: %s", f)
		}
	}
}

// Check sends the battery's requests by do, such as the Do method of an
// [http.Client] that follows no redirect, and returns a finding for every check,
// in a fixed order; several goroutines call it at once. What cannot be run is a
// finding, too. An answer's body is read to 64 KiB and closed.
//
// Blanks around a signature are left out: HTTP takes them away on the wire.
func (b Battery) Check(ctx context.Context, do func(*http.Request) (*http.Response, error)) []Finding {
	return b.check(ctx, do, false)
}

// Checks returns the names of the battery's checks in their order.
func (b Battery) Checks() []string {
	var names []string
	for _, c := range b.checks() {
		names = append(names, c.name)
	}
	return names
}

// check is one of the battery.
type check struct {
	name   string
	about  string
	change string
	// good: what is sent is a good event, or but for its size, so that nothing
	// can be learnt from a receiver that refuses everything.
	good bool
	// anyway: it can be made though the receiver does not answer.
	anyway bool
	// skip says why the check cannot be made; nil or "": it can.
	skip func(*probe) string
	// run returns the problem, or "".
	run func(*probe) string
}

func (b Battery) checks() []check {
	forged := signatureChecks
	if b.StandardWebhooks {
		forged = standardChecks
	}
	return slices.Concat(acceptChecks, forged, bodyChecks, eventChecks, repeatChecks, answerChecks)
}

func (b Battery) check(ctx context.Context, do doer, local bool) []Finding {
	p := newProbe(ctx, b, do, local)
	all := b.checks()
	findings := p.settings(all)
	for _, c := range all {
		f := Finding{Check: c.name, About: c.about, Change: c.change, Skipped: p.skips(c)}
		if f.Skipped == "" {
			f.Problem = c.run(p)
			if f.Problem != "" && ctx.Err() != nil { // no fault of the receiver, and yet no success
				f.Problem = "the battery was ended in the middle of this check: " + ctx.Err().Error()
				f.Change = "Run it again, and let it come to its end."
			}
			p.refused = p.refused || c.name == firstCheck && f.Problem != ""
		}
		findings = append(findings, f)
	}
	return findings
}

func newProbe(ctx context.Context, b Battery, do doer, local bool) *probe {
	b.URL = cmp.Or(b.URL, "http://receiver.test/alot/webhook")
	b.EventType = cmp.Or(b.EventType, alotwebhook.EventCandidateCompleted)
	b.OrganizationID = cmp.Or(b.OrganizationID, OrganizationID)
	b.MaxBodyBytes = cmp.Or(b.MaxBodyBytes, 8<<20)
	b.Timeout = cmp.Or(b.Timeout, 15*time.Second)
	if len(b.Data) == 0 {
		b.Data = exampleData(b.EventType)
	}
	return &probe{Battery: b, ctx: ctx, do: do, local: local}
}

// maxOversized bounds what is sent to see it refused, in bytes.
const maxOversized = 256 << 20

// settings returns what is wrong with the battery's own settings.
func (p *probe) settings(all []check) (findings []Finding) {
	report := func(problem, change string) {
		findings = append(findings, Finding{Check: "settings", About: "The battery is set up.", Problem: problem, Change: change})
	}
	if _, err := alotwebhook.NewVerifier(p.Secret); err != nil {
		report(err.Error(), "Give the secret that the receiver verifies with.")
	}
	if _, err := alotwebhook.NewEvent(p.EventType, p.OrganizationID, p.Data); err != nil {
		report(err.Error(), "Give one JSON value as data.")
	}
	if _, err := http.NewRequest(http.MethodPost, p.URL, nil); err != nil {
		report(err.Error(), "Give the receiver's URL.")
	}
	if p.MaxBodyBytes < 1 || p.MaxBodyBytes > maxOversized {
		report(fmt.Sprintf("MaxBodyBytes is %d", p.MaxBodyBytes), fmt.Sprintf("Give 1 to %d, or skip the check oversized.", maxOversized))
	}
	if p.Timeout < 0 || p.MaxAge < 0 {
		report(fmt.Sprintf("Timeout is %v and MaxAge is %v", p.Timeout, p.MaxAge), "Give no negative time.")
	}
	for _, name := range p.Skip {
		if !slices.ContainsFunc(all, func(c check) bool { return c.name == name }) {
			report(fmt.Sprintf("there is no check %q to skip", name), "Take the name from a finding.")
		}
	}
	p.unusable = len(findings) > 0
	return findings
}

func (p *probe) skips(c check) string {
	switch {
	case p.unusable:
		return "the settings are wrong"
	case slices.Contains(p.Skip, c.name):
		return "as asked"
	case p.ctx.Err() != nil:
		return "the battery was ended: " + p.ctx.Err().Error()
	case p.silent && !c.anyway:
		return "the receiver does not answer"
	case p.elsewhere:
		return "the receiver redirects, see " + firstCheck
	case c.good && p.refused:
		return "no good event gets through, see " + firstCheck
	case c.skip != nil:
		return c.skip(p)
	}
	return ""
}
