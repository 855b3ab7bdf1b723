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
)

const dedupe = "Remember the id of the signed payload, in the transaction of what you do for it and under a unique index, and answer 200 to one that is done. In Go: alotwebhook.Deduper."

// What a receiver makes of the event itself.
var eventChecks = []check{
	{
		name:   "unknown-type",
		about:  "An event of a type that the receiver does not know is answered with 2xx: an error would only have it repeated.",
		change: "Answer 204 to types that you have no use for.",
		good:   true,
		run: func(p *probe) string {
			e := p.event()
			e.Type, e.Data = "webhooktest.unheard_of", json.RawMessage("{}")
			s := p.signed(e, e.Payload()).named("of type " + e.Type)
			if a := p.send(s); !a.ok() {
				return s.say("a good event", a.String()+", not 2xx")
			}
			return ""
		},
	},
	{
		name:   "old-event",
		about:  "An event of last week is accepted: its timestamp says when it happened, and it is redelivered after an outage.",
		change: "Do not refuse events by their timestamp within the time in which you may want them redelivered; ids that are done keep repetitions out. If the limit is meant, give it to the battery (MaxAge, check --max-age).",
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
			return p.refuses(p.happened(-p.MaxAge - time.Hour).named("older than MaxAge by an hour"))
		},
	},
	{
		name:   "too-new",
		about:  "An event further in the future than MaxAge is refused with 400.",
		change: "Compare the absolute difference: now − timestamp is negative for it, and no negative number is greater than MaxAge.",
		skip:   withoutMaxAge,
		run: func(p *probe) string {
			return p.refuses(p.happened(p.MaxAge + time.Hour).named("from beyond MaxAge in the future"))
		},
	},
	{
		name:   "unsigned-headers",
		about:  "What an event is stands in the signed payload; the headers beside the signature are unsigned, and may be missing or wrong.",
		change: "Take type and id from the payload once it is verified, not from X-Alot-Event or X-Alot-Delivery.",
		good:   true,
		run: func(p *probe) string {
			bare, wrong := p.good().named("without the unsigned headers"), p.good().named("whose X-Alot-Event names another type")
			bare.header = http.Header{alotwebhook.EventHeader: nil, alotwebhook.DeliveryHeader: nil, alotwebhook.AttemptHeader: nil}
			wrong.header = http.Header{alotwebhook.EventHeader: {"webhooktest.unheard_of"}}
			return p.accepts(bare, wrong)
		},
	},
}

// Deliveries are at least once: an event comes again after a lost answer, a
// crash of the sender, or a redelivery by hand.
var repeatChecks = []check{
	{
		name:   "replay",
		about:  "The same request again, byte for byte, is answered with 2xx and not acted on again.",
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
		about:  "The same event in another delivery is answered with 2xx and not acted on again.",
		change: dedupe + " The delivery's id and the attempt's number are unsigned, and others each time.",
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
		about:  "Two events under one X-Alot-Delivery are two events.",
		change: dedupe + " Do not take X-Alot-Delivery for it.",
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
		about:  "The same event many times at once is acted on once; each is answered with 2xx, or with a status that makes the sender repeat it.",
		change: dedupe + " Looking first and storing later lets two through: the unique index must decide. While one is at work, answer the others 409 or 503, not 410.",
		good:   true,
		run:    runConcurrent,
	},
}

// What a receiver says.
var answerChecks = []check{
	{
		name:   "in-time",
		about:  "The answer comes before the sender gives up waiting, and sends again.",
		change: "Store the event, answer, and do the long work afterwards.",
		anyway: true,
		skip: func(p *probe) string {
			if p.silent && p.first <= p.Timeout {
				return "the receiver does not answer"
			}
			return ""
		},
		run: func(p *probe) string {
			if p.first > p.Timeout {
				return fmt.Sprintf("the first good event had no answer within %v", p.Timeout)
			}
			return ""
		},
	},
	{
		name:   "leaks-nothing",
		about:  "No answer tells the signature that would have been right, or the secret: who reads it can sign.",
		change: "Answer a refused request with its status alone, and keep the computed signature out of errors and logs.",
		run:    runLeaks,
	},
}

func withoutMaxAge(p *probe) string {
	if p.MaxAge <= 0 {
		return "no MaxAge is given"
	}
	return ""
}

func withoutHandled(p *probe) string {
	if p.Handled == nil {
		return "no Handled is given: what was acted on cannot be seen"
	}
	return ""
}

// happened is an event whose timestamp is this far from now.
func (p *probe) happened(from time.Duration) shot {
	e := p.event()
	e.Timestamp = e.Timestamp.Add(from)
	return p.signed(e, e.Payload())
}

// atOnce is how many duplicates are sent together.
const atOnce = 8

func runConcurrent(p *probe) string {
	s := p.good().named(fmt.Sprintf("%d times at once", atOnce))
	answers := make([]answer, atOnce)
	var all sync.WaitGroup
	for i := range answers {
		all.Add(1)
		go func() {
			defer all.Done()
			answers[i] = p.send(s)
		}()
	}
	all.Wait()
	for _, a := range answers {
		if a.err != nil || a.status == http.StatusGone {
			return s.say("a good event", "to one of them "+a.String())
		}
	}
	if !slices.ContainsFunc(answers, answer.ok) {
		return s.say("a good event", "none was answered with 2xx; to the first "+answers[0].String())
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
			return s.say("an event", "the answer holds "+leak)
		}
	}
	return ""
}

// sumOf is the MAC that would be right.
func (p *probe) sumOf(s shot) (sum []byte) {
	if p.StandardWebhooks {
		sum, _ = base64.StdEncoding.DecodeString(alotwebhook.SignStandard(s.body, s.event.ID, s.at, p.Secret)[len("v1,"):])
	} else {
		sum, _ = hex.DecodeString(digits(alotwebhook.Sign(s.body, p.Secret)))
	}
	return sum
}

// leak says what an answer to a shot holds of what only the secret's owner can know.
func (p *probe) leak(s shot, text string) string {
	if len(p.Secret) >= 8 && strings.Contains(text, string(p.Secret)) {
		return "the secret"
	}
	sum := p.sumOf(s)
	right := hex.EncodeToString(sum)
	const part = 12 // digits: by chance once in 2⁴⁸
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
