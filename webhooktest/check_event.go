package webhooktest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/proof"
)

const dedupe = "Store the id of the signed payload under a unique index, in the same transaction as your own work. If the id is there already, respond with 200. In Go, use alotwebhook.Deduper."

// eventChecks try how the receiver treats the content of a good event.
var eventChecks = []check{
	{
		name:   "unknown-type",
		about:  "An event of a type that the receiver does not know gets a 2xx status: an error would only make the sender repeat it.",
		change: "Respond with 204 to event types that you do not use.",
		good:   true,
		run: func(p *probe) string {
			e := p.event()
			e.Type, e.Data = "webhooktest.unheard_of", json.RawMessage("{}")
			s := p.signed(e, e.Payload()).named("of type " + e.Type)
			if a := p.send(s); !a.ok() {
				return s.say("a good event", a.String()+mustAccept)
			}
			return ""
		},
	},
	{
		name:   "old-event",
		about:  "An event of last week is accepted: its timestamp says when it happened, and after an outage it may be redelivered.",
		change: "Do not refuse events by their timestamp as long as you may want them redelivered: the event id protects you from repetitions. If you limit the age on purpose, tell the battery (MaxAge).",
		good:   true,
		run: func(p *probe) string {
			age := 7 * 24 * time.Hour
			if p.MaxAge > 0 {
				age = min(age, p.MaxAge/2)
			}
			return p.accepts(p.happened(-age).named(fmt.Sprintf("that happened %v ago", age)))
		},
	},
	{
		name:   "too-old",
		about:  "An event older than MaxAge is refused with 400.",
		change: "Compare the signed timestamp with the clock, in UTC.",
		skip:   withoutMaxAge,
		run: func(p *probe) string {
			return p.refuses(p.happened(-p.MaxAge - time.Hour).named("that is an hour older than MaxAge"))
		},
	},
	{
		name:   "too-new",
		after:  "too-old",
		about:  "An event further in the future than MaxAge is refused with 400.",
		change: "Compare the absolute difference: for an event in the future, now − timestamp is negative, and so never above MaxAge.",
		skip:   withoutMaxAge,
		run: func(p *probe) string {
			return p.refuses(p.happened(p.MaxAge + time.Hour).named("that lies an hour further in the future than MaxAge"))
		},
	},
	{
		name:   "unsigned-headers",
		about:  "The signed payload says which event it is. The headers X-Alot-Event, X-Alot-Delivery and X-Alot-Attempt are not signed, and may be missing or wrong.",
		change: "Read the type and the id from the verified payload, not from X-Alot-Event or X-Alot-Delivery.",
		good:   true,
		run: func(p *probe) string {
			bare, wrong := p.good().named("without the unsigned headers"), p.good().named("whose X-Alot-Event names another type")
			bare.header = http.Header{alotwebhook.EventHeader: nil, alotwebhook.DeliveryHeader: nil, alotwebhook.AttemptHeader: nil}
			wrong.header = http.Header{alotwebhook.EventHeader: {"webhooktest.unheard_of"}}
			return p.accepts(bare, wrong)
		},
	},
	testEvent,
}

// repeatChecks send an event more than once. Delivery is at least once: an event comes
// again after a lost response, a crash of the sender, or a redelivery.
var repeatChecks = []check{
	{
		name:   "replay",
		about:  "A request that comes again, byte for byte, gets a 2xx status, and its event is not handled again.",
		change: dedupe,
		good:   true,
		run: func(p *probe) string {
			s := p.good().named("for the second time")
			if problem := p.accepts(s.named("")); problem != "" {
				return problem
			}
			return p.accepts(s, s.named("for the third time"))
		},
	},
	{
		name:   "duplicate",
		after:  "replay",
		about:  "An event that comes again in another delivery gets a 2xx status, and is not handled again.",
		change: dedupe + " Do not use the delivery's id or the attempt's number for it: they are not signed, and can differ each time.",
		good:   true,
		run: func(p *probe) string {
			s := p.good()
			if problem := p.accepts(s); problem != "" {
				return problem
			}
			s.header = http.Header{alotwebhook.DeliveryHeader: {deliveryID(p.event())}, alotwebhook.AttemptHeader: {"2"}}
			return p.accepts(s.named("again under another X-Alot-Delivery"))
		},
	},
	{
		name:   "same-delivery-header",
		after:  "duplicate",
		about:  "Two events with the same X-Alot-Delivery are two events, and each is handled.",
		change: dedupe + " Do not use X-Alot-Delivery for it.",
		good:   true,
		skip:   withoutHandled,
		run: func(p *probe) string {
			one, other := p.good(), p.good().named("under the X-Alot-Delivery of another event")
			other.header = http.Header{alotwebhook.DeliveryHeader: {deliveryID(one.event)}}
			return p.accepts(one, other)
		},
	},
	{
		name:   "concurrent-duplicate",
		after:  "replay",
		about:  "If the same event comes many times at once, it is handled once. Each request gets a 2xx status, or one that makes the sender repeat it.",
		change: dedupe + " To look first and store later lets two through, so the unique index must decide. While one is being handled, respond to the others with 409 or 503, and never with 410.",
		good:   true,
		run:    runConcurrent,
	},
}

// responseChecks judge the responses themselves.
var responseChecks = []check{
	{
		name:   timeCheck,
		about:  "The response comes before the sender gives up and tries again.",
		change: "Store the event, respond, and do long work afterwards.",
		anyway: true,
		skip: func(p *probe) string {
			if p.silent && p.first <= p.Timeout {
				return "the receiver does not respond"
			}
			return ""
		},
		run: func(p *probe) string {
			if p.first > p.Timeout {
				return fmt.Sprintf("there was no response to the first good event within %v", p.Timeout)
			}
			return ""
		},
	},
	{
		name:   "challenge",
		about:  "A challenge is answered with the proof that the receiver has the secret.",
		change: "Respond to a verified event of the type " + proof.EventType + " with 200 and a JSON object whose encryptedToken is the HMAC-SHA256 of plainToken in its data with the secret, in lower-case hex. In Go, alotwebhook.Prove returns it.",
		good:   true,
		skip: func(p *probe) string {
			if !p.Proves {
				return "Proves is not set"
			}
			return ""
		},
		run: (*probe).proves,
	},
	{
		name:   "leaks-nothing",
		about:  "No response contains the signature that would have been right, or the secret: whoever reads it could sign.",
		change: "Respond to a refused request with the status alone, and keep the computed signature out of errors and logs.",
		run:    runLeaks,
	},
	keepsUp, // the last, since a limit may be met by any other
}

// proves sends a challenge, and one that is not signed, whose answer must be no proof: with that,
// anybody could have the receiver sign.
func (p *probe) proves() string {
	e := p.event()
	e.Type, e.Data = proof.EventType, proof.NewData()
	s := p.signed(e, e.Payload())
	a := p.send(s)
	if !a.ok() {
		return "sent a challenge: " + a.String() + mustAccept
	}
	if problem := proof.Problem(a.body, e.Data, string(p.Secret)); problem != "" {
		return "sent a challenge: " + problem
	}
	s.auth = nil
	if a = p.send(s); proof.Problem(a.body, e.Data, string(p.Secret)) == "" {
		return "sent a challenge without a signature: the response was its proof; verify the signature first"
	}
	return ""
}

// withoutMaxAge is a check.skip for checks that need [Battery.MaxAge].
func withoutMaxAge(p *probe) string {
	if p.MaxAge <= 0 {
		return "MaxAge is not set"
	}
	return ""
}

// withoutHandled is a check.skip for checks that need [Battery.Handled].
func withoutHandled(p *probe) string {
	if p.Handled == nil {
		return "Handled is not set, so it cannot be seen what was handled"
	}
	return ""
}

// happened returns an event whose timestamp is this far from now.
func (p *probe) happened(from time.Duration) shot {
	e := p.event()
	e.Timestamp = e.Timestamp.Add(from)
	return p.signed(e, e.Payload())
}

// atOnce is how many duplicates are sent at the same time.
const atOnce = 8

func runConcurrent(p *probe) string {
	s := p.good().named(fmt.Sprintf("%d times at once", atOnce))
	responses := make([]response, atOnce)
	var all sync.WaitGroup
	for i := range responses {
		all.Add(1)
		go func() {
			defer all.Done()
			responses[i] = p.exchange(s) // a limit for requests at once may well respond with 429
		}()
	}
	all.Wait()
	for _, a := range responses {
		if a.err != nil || a.status == http.StatusGone {
			return s.say("a good event", "for one of them, "+a.String())
		}
	}
	if !slices.ContainsFunc(responses, response.ok) {
		return s.say("a good event", "no response was 2xx; for the first, "+responses[0].String())
	}
	return p.accepts(s.named(s.what + " and then once more"))
}

func runLeaks(p *probe) string {
	unsigned, forged, short := p.good().named("unsigned"), p.good().named("wrongly signed"), p.good().named("with a short signature")
	unsigned.auth, forged.auth, short.auth = nil, signature(zeros), signature("sha256=00")
	if p.StandardWebhooks {
		forged.auth = standardHeader(forged.event.ID, forged.at, standardZeros)
		short.auth = standardHeader(short.event.ID, short.at, "v1,AA==")
	}
	for _, s := range []shot{unsigned, forged, short} {
		if leak := p.leak(s, p.send(s).text); leak != "" {
			return s.say("an event", "the response contains "+leak)
		}
	}
	return ""
}

// sumOf returns the right MAC of a shot.
func (p *probe) sumOf(s shot) (sum []byte) {
	if p.StandardWebhooks {
		sum, _ = base64.StdEncoding.DecodeString(alotwebhook.SignStandard(s.body, s.event.ID, s.at, p.Secret)[len("v1,"):])
	} else {
		sum, _ = hex.DecodeString(digits(alotwebhook.Sign(s.body, p.Secret)))
	}
	return sum
}

// leak says what part of a response only the owner of the secret could have computed; ""
// for none.
func (p *probe) leak(s shot, text string) string {
	if len(p.Secret) >= 8 && strings.Contains(text, string(p.Secret)) {
		return "the secret"
	}
	sum := p.sumOf(s)
	right := hex.EncodeToString(sum)
	const part = 12 // so many hex digits match by chance once in 2⁴⁸
	lower := strings.ToLower(text)
	for i := range len(right) - part + 1 {
		if strings.Contains(lower, right[i:i+part]) {
			return "the right signature, or a part of it"
		}
	}
	for _, in := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if strings.Contains(text, in.EncodeToString(sum)[:part]) {
			return "the right signature in base64"
		}
	}
	return ""
}
