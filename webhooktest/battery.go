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

// Battery is [CheckReceiver] with settings. Only Secret is required.
type Battery struct {
	// Secret is the secret that the receiver verifies with.
	Secret alotwebhook.Secret

	// URL is the address of the requests, of http or https. A handler in the same
	// process gets its path, and may have a path alone here. Defaults to "http://receiver.test/alot/webhook".
	URL string

	// EventType and Data describe an event that the receiver must handle. The
	// battery sends it many times with different ids, and sometimes with more
	// fields in Data. They default to "candidate.completed" and its example in
	// the catalogue.
	EventType string
	Data      json.RawMessage

	// OrganizationID is the organization of the events.
	// Defaults to [OrganizationID].
	OrganizationID string

	// Handled returns how often the receiver has handled an event. The battery
	// calls it after the response: if the receiver does its work later, Handled
	// must wait for that. Without it, the battery judges responses only, and
	// cannot find a receiver that handles a duplicate twice. Defaults to nil.
	Handled func(eventID string) int

	// MaxBodyBytes is the largest body that the receiver accepts, in bytes. A
	// body with one byte more must get 413. It is at most 256 MiB. Defaults to
	// 8 MiB, 32 times the largest payload that the sender sends at its defaults.
	MaxBodyBytes int64

	// MaxAge is the MaxAge of the receiver's [alotwebhook.ReceiverConfig], or a
	// similar limit. Defaults to 0: the receiver must accept events of last week,
	// because the sender may redeliver them.
	MaxAge time.Duration

	// Timeout is how long the sender waits for a response. Defaults to 15 s.
	Timeout time.Duration

	// StandardWebhooks makes the battery sign with the headers of Standard
	// Webhooks, without X-Alot-Signature, and forge those headers. It is for a
	// receiver that accepts them; see [alotwebhook.Verifier.AcceptStandard]. If
	// the receiver accepts either form, run the battery twice. Defaults to false.
	StandardWebhooks bool

	// Proves makes the battery send a challenge, for a receiver of a sender that wants URLs proven
	// ([alotwebhook.Config.ProveURLs]). Defaults to false: a receiver needs not know challenges.
	Proves bool

	// Skip names checks that are left out because the receiver behaves otherwise
	// on purpose. The names are those of [Finding.Check]. An unknown name is a
	// failure.
	Skip []string
}

// Finding is the result of one check.
type Finding struct {
	// Check is the name of the check, such as "upper-case-hex". It does not
	// change with later versions.
	Check string
	// About says how a right receiver behaves, in a sentence.
	About string
	// Problem says what the receiver did instead. It is empty if the receiver
	// is right.
	Problem string
	// Change says what to change if there is a problem.
	Change string
	// Skipped says why the check was not made. It is empty if it was.
	Skipped string
}

// OK reports whether the check found no problem. A skipped check has found none.
func (f Finding) OK() bool { return f.Problem == "" }

// String returns the finding in one line; with a problem, in three lines that also say
// how a right receiver behaves and what to change.
func (f Finding) String() string {
	switch {
	case f.Skipped != "":
		return f.Check + ": skipped: " + f.Skipped
	case f.OK():
		return f.Check + ": ok"
	}
	return fmt.Sprintf("%s: %s\n    right:  %s\n    change: %s", f.Check, f.Problem, f.About, f.Change)
}

// CheckReceiver runs the battery against a handler. The test fails with every problem
// that it finds, and says what to change for each. The handler gets about ninety
// requests, among them events of type "candidate.completed" that it must handle.
//
// A [Battery] has settings, and finds more if it can see what was handled.
func CheckReceiver(t testing.TB, handler http.Handler, secret alotwebhook.Secret) {
	t.Helper()
	Battery{Secret: secret}.CheckReceiver(t, handler)
}

// CheckReceiver runs the battery against a handler, like the function of the same name.
func (b Battery) CheckReceiver(t testing.TB, handler http.Handler) {
	t.Helper()
	var do doer // nil for no handler, which is a finding
	if handler != nil {
		do = inProcess(handler)
	}
	for _, f := range b.check(t.Context(), do, true) {
		switch {
		case !f.OK():
			t.Errorf("webhooktest: %s", f)
		case f.Skipped != "":
			t.Logf("webhooktest: %s", f)
		}
	}
}

// Check runs the battery against any receiver and returns a finding for each check, in a
// fixed order. One mistake of the common ones is one finding with a problem: what follows from it, such as
// every other check behind a body parser, is skipped, and Skipped names the check that has found it.
//
// It sends the requests by do, which several goroutines call at once; the Do method of an [http.Client] that does not
// follow redirects is one. Give that a transport of its own, with DisableKeepAlives. A receiver may close a connection
// that is kept, and then the next request fails on it without a fault of the receiver: net/http sends no POST
// again. And the end of an [net/http/httptest.Server] closes connections of the default transport, so that a request
// beside it may fail (seen with Go 1.26.8).
//
// Check reads up to 64 KiB of each response's body and closes it. A setting that is wrong is a finding with the name
// "settings", and then no check is made.
//
// Unlike [Battery.CheckReceiver], it sends no signature with white space around it:
// HTTP drops such white space on the way.
func (b Battery) Check(ctx context.Context, do func(*http.Request) (*http.Response, error)) []Finding {
	return b.check(ctx, do, false)
}

// Checks returns the names of the battery's checks, in the order of [Battery.Check].
func (b Battery) Checks() []string {
	var names []string
	for _, c := range b.checks() {
		names = append(names, c.name)
	}
	return names
}

// check is one check of the battery.
type check struct {
	name   string
	about  string
	change string
	// good means that the check sends good events, or events that are good but
	// for their size. A receiver that refuses every event would fail it without
	// need, so it is skipped then.
	good bool
	// raw means that a receiver fails the check if it verifies JSON that was encoded again.
	raw bool
	// fields means that a receiver fails the check if it refuses unknown fields in the data.
	fields bool
	// after names a check whose mistake, as a rule, makes a receiver fail this one as well.
	after string
	// forged means that a receiver fails the check if it verifies nothing.
	forged bool
	// anyway means that the check is made even if the receiver does not respond.
	anyway bool
	// skip says why the check cannot be made; nil or "" if it can.
	skip func(*probe) string
	// run returns the problem, or "".
	run func(*probe) string
}

// checks returns the checks of the battery in their order.
func (b Battery) checks() []check {
	forged := slices.Clone(signatureChecks)
	if b.StandardWebhooks {
		forged = slices.Clone(standardChecks)
	}
	for i := range forged {
		forged[i].forged = !forged[i].good
	}
	return slices.Concat(firstChecks, acceptChecks, forged, bodyChecks, eventChecks, repeatChecks, responseChecks)
}

// check runs the battery; local is true if do calls a handler in this process.
func (b Battery) check(ctx context.Context, do doer, local bool) []Finding {
	p := newProbe(ctx, b, do, local)
	all := b.checks()
	findings := p.settings(all)
	for _, c := range all {
		f := p.finding(c)
		p.refused = p.refused || c.name == firstCheck && f.Problem != ""
		findings = append(findings, f)
	}
	p.takeBack(findings)
	return findings
}

// finding makes one check.
func (p *probe) finding(c check) Finding {
	f := Finding{Check: c.name, About: c.about, Change: c.change, Skipped: p.skips(c)}
	if f.Skipped != "" {
		return f
	}
	p.change, p.name = "", c.name
	f.Problem = c.run(p)
	if f.Problem != "" {
		p.isLost(c.name, f.Problem)
	}
	if p.lost != "" && c.name != keepsUpCheck { // what it says of the receiver is not known
		return p.notMade(f)
	}
	switch {
	case f.Problem == "":
	case p.ctx.Err() != nil: // not a fault of the receiver, but not a success
		f.Problem = "the battery was stopped in the middle of this check: " + p.ctx.Err().Error()
		f.Change = "Run it again, and let it finish."
	default:
		f.Skipped = p.follows(c, f.Problem)
		f.Change = cmp.Or(p.change, c.change)
		if f.Skipped != "" {
			f.Problem = ""
			break
		}
		p.failed[c.name] = true
	}
	if f.OK() && !c.anyway {
		p.unsure = append(p.unsure, unproven{c.name, p.last})
	}
	return f
}

// newProbe returns a probe with the default of each setting that is not set.
func newProbe(ctx context.Context, b Battery, do doer, local bool) *probe {
	b.URL = cmp.Or(b.URL, "http://receiver.test/alot/webhook")
	b.EventType = cmp.Or(b.EventType, alotwebhook.EventCandidateCompleted)
	b.OrganizationID = cmp.Or(b.OrganizationID, OrganizationID)
	b.MaxBodyBytes = cmp.Or(b.MaxBodyBytes, 8<<20)
	b.Timeout = cmp.Or(b.Timeout, 15*time.Second)
	if len(b.Data) == 0 {
		b.Data = exampleData(b.EventType)
	}
	return &probe{Battery: b, ctx: ctx, do: do, local: local, failed: map[string]bool{}, odd: map[string]string{}, odds: map[string]string{}}
}

// maxOversized is the largest MaxBodyBytes, in bytes. It bounds the memory that the check
// for oversized bodies takes.
const maxOversized = 256 << 20

// settings returns a finding for each setting of the battery that is wrong.
func (p *probe) settings(all []check) (findings []Finding) {
	report := func(problem, change string) {
		findings = append(findings, Finding{Check: "settings", About: "The settings of the battery are valid.", Problem: problem, Change: change})
	}
	if _, err := alotwebhook.NewVerifier(p.Secret); err != nil {
		report(err.Error(), "Set Secret to the secret that the receiver verifies with.")
	}
	if _, err := alotwebhook.NewEvent(p.EventType, p.OrganizationID, p.Data); err != nil {
		report(err.Error(), "Set Data to one JSON value.")
	}
	if r, err := http.NewRequest(http.MethodPost, p.URL, nil); err != nil {
		report(err.Error(), "Set URL to the receiver's URL.")
	} else if problem := targetProblem(r.URL); problem != "" {
		report("URL "+problem, "Set URL to the receiver's URL.")
	}
	switch {
	case p.do == nil && p.local:
		report("the handler is nil", "Give the handler that receives the webhooks.")
	case p.do == nil:
		report("do is nil", "Give a function that sends a request, such as the method Do of an http.Client.")
	}
	if p.ctx == nil {
		report("ctx is nil", "Give the test's context.")
	}
	if p.MaxBodyBytes < 1 || p.MaxBodyBytes > maxOversized {
		report(fmt.Sprintf("MaxBodyBytes is %d", p.MaxBodyBytes), fmt.Sprintf("Set it to 1 to %d, or skip the check oversized.", maxOversized))
	}
	if p.Timeout < 0 || p.MaxAge < 0 {
		report(fmt.Sprintf("Timeout is %v and MaxAge is %v", p.Timeout, p.MaxAge), "Set neither to a negative time.")
	}
	for _, name := range p.Skip {
		if !slices.ContainsFunc(all, func(c check) bool { return c.name == name }) {
			report(fmt.Sprintf("there is no check %q to skip", name), "Take the name from Finding.Check.")
		}
	}
	p.unusable = len(findings) > 0
	return findings
}

// skips says why a check is not made; "" if it is.
func (p *probe) skips(c check) string {
	switch {
	case p.unusable:
		return "the settings are wrong"
	case slices.Contains(p.Skip, c.name):
		return "as requested"
	case p.ctx.Err() != nil:
		return "the battery was stopped: " + p.ctx.Err().Error()
	case p.silent && !c.anyway:
		return "the receiver does not respond"
	case p.elsewhere:
		return "the response is a redirect, see " + firstCheck
	case p.cause != "" && p.cause != c.name:
		return p.why
	case p.unverified != "" && c.forged:
		return p.unverified
	case c.good && p.refused:
		return refusesGood
	case c.skip != nil:
		return c.skip(p)
	}
	return ""
}
