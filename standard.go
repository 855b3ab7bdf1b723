package alotwebhook

import (
	"strconv"
	"time"

	"github.com/alot/alotwebhook/internal/claim"
	"github.com/alot/alotwebhook/internal/mac"
)

// These are the headers of Standard Webhooks (https://www.standardwebhooks.com). [Config.StandardWebhooks]
// makes the sender add them, and [Verifier.AcceptStandard] makes a verifier accept them. The signature covers
// the id, the timestamp and the body.
const (
	// StandardIDHeader holds the event's id, the same in every attempt.
	StandardIDHeader = "Webhook-Id"
	// StandardTimestampHeader holds the time of the attempt, in whole seconds since 1970.
	StandardTimestampHeader = "Webhook-Timestamp"
	// StandardSignatureHeader holds "v1," and a MAC in base64. During the rotation of a secret it holds several
	// of them with a space between.
	StandardSignatureHeader = "Webhook-Signature"
)

// DefaultStandardTolerance is the default of [StandardConfig.Tolerance]: 5 minutes.
const DefaultStandardTolerance = 5 * time.Minute

// These errors refuse an attempt because of its signed time. A sender signs the time anew with every attempt,
// so an honest event that was late comes again with a time that is accepted.
var (
	// ErrAttemptTooOld means that the attempt was signed longer ago than the tolerance. Either it is a replay;
	// or it was held up on the way (verify it before you queue it, or add the time in the queue to the
	// tolerance); or the clock of this machine is fast.
	ErrAttemptTooOld = claim.ErrTooOld
	// ErrAttemptTooNew means that the attempt was signed further in the future than the tolerance. The clock of
	// this machine is slow, or the sender's is fast. Set both by NTP.
	ErrAttemptTooNew = claim.ErrTooNew
)

// Standard returns the secret in the form that a Standard Webhooks library takes: "whsec_" and the base64 of
// the key.
//
// If a secret is "whsec_" and base64, with or without padding, its key in that scheme is the decoded base64.
// [NewSecret] makes such secrets, and a library takes them unchanged. The key of every other secret is its
// UTF-8 bytes.
//
// [Sign] makes no such distinction: its key is always the UTF-8 bytes of the whole secret.
func (s Secret) Standard() Secret {
	if s == "" {
		return ""
	}
	return Secret(mac.StandardSecret([]byte(mac.StandardKey(string(s)))))
}

// SignStandard returns the value of [StandardSignatureHeader] for an attempt at the given time: "v1," and the
// base64 of the HMAC-SHA256 over the id, the time in whole seconds and the body, with dots between them.
// [Secret.Standard] describes the key.
//
// The id must not contain a dot: SignStandard signs such an id, but no verifier of this package accepts it.
func SignStandard(body []byte, id string, at time.Time, secret Secret) string {
	return mac.SignStandard(body, id, strconv.FormatInt(at.Unix(), 10), mac.StandardKey(string(secret)))
}

// StandardConfig configures how a [Verifier] accepts the headers of Standard Webhooks. A nil *StandardConfig
// stands for the defaults.
type StandardConfig struct {
	// Tolerance is the largest difference that is accepted between the attempt's signed time and this machine's
	// clock, in either direction. A longer one gives a replay more time. A shorter one refuses honest attempts
	// that were slow on the way, and all of them if a clock is wrong. Zero or less stands for the default.
	// Defaults to [DefaultStandardTolerance].
	Tolerance time.Duration

	// Only refuses a request without the headers of Standard Webhooks, even if its [SignatureHeader] is good.
	// Without Only, an attacker who replays an old request can leave these headers out, and with them the
	// signed time.
	// Defaults to false: the verifier accepts either form.
	Only bool
}

// AcceptStandard returns a verifier with the same secrets that also accepts the headers of Standard Webhooks,
// from a sender with [Config.StandardWebhooks] or from any other that keeps that specification. If a request
// has [StandardSignatureHeader], this signature decides, and the verifier ignores [SignatureHeader].
// [Verifier.Verify] and [Verifier.VerifyMatch], which get the value of SignatureHeader alone, do not change.
//
// One of several signatures must match. Signatures of a version other than v1 are skipped. A signed time
// outside the tolerance is an [ErrAttemptTooOld] or an [ErrAttemptTooNew], and is refused before the body is
// read.
func (v *Verifier) AcceptStandard(cfg *StandardConfig) *Verifier {
	keys := v.secrets()
	if keys == nil {
		return new(Verifier)
	}
	var own StandardConfig
	if cfg != nil {
		own = *cfg
	}
	if own.Tolerance <= 0 {
		own.Tolerance = DefaultStandardTolerance
	}
	return newVerifier(keys.Accept(claim.Standard(own)), v.memory)
}
