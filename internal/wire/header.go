package wire

import (
	"net/http"
	"strconv"
	"time"

	"github.com/alot/alotwebhook/internal/mac"
)

// The names of the headers of a request.
const (
	SignatureHeader = "X-Alot-Signature"
	EventHeader     = "X-Alot-Event"
	DeliveryHeader  = "X-Alot-Delivery"
	AttemptHeader   = "X-Alot-Attempt"
	TestHeader      = "X-Alot-Test"

	StandardIDHeader        = "Webhook-Id"
	StandardTimestampHeader = "Webhook-Timestamp"
	StandardSignatureHeader = "Webhook-Signature"
)

// Head is what the headers of an attempt's request say.
type Head struct {
	EventID, EventType, DeliveryID, UserAgent string
	Attempt                                   int
	Test                                      bool
	TraceParent                               string // sent if Traced, and unless it is ""
	Traced                                    bool
	Standard                                  bool // with the headers of Standard Webhooks
}

// Signing is what signs a request: Secret at that time and, in the headers of Standard Webhooks,
// also Next, unless it is "".
type Signing struct {
	Payload      []byte
	Secret, Next string
	At           time.Time
}

var contentTypeJSON = []string{"application/json"}

// Header returns the headers of a request, signed unless by is nil. Their values share one array,
// which saves an allocation for each.
func (d *Head) Header(by *Signing) http.Header {
	values := [...]string{"", d.EventType, d.DeliveryID, strconv.Itoa(d.Attempt), d.UserAgent}
	h := http.Header{
		"Content-Type": contentTypeJSON,
		EventHeader:    values[1:2:2],
		DeliveryHeader: values[2:3:3],
		AttemptHeader:  values[3:4:4],
		"User-Agent":   values[4:5:5],
	}
	if by != nil {
		values[0] = mac.Sign(by.Payload, by.Secret)
		h[SignatureHeader] = values[0:1:1]
	}
	if d.Test {
		h[TestHeader] = []string{"true"}
	}
	if d.Traced && d.TraceParent != "" {
		h["Traceparent"] = []string{d.TraceParent}
	}
	if d.Standard && by != nil {
		d.addStandard(h, by)
	}
	return h
}

// addStandard adds the three headers of Standard Webhooks. While a rotation is still to come, the next
// secret signs as well: a receiver whose library takes only one secret can then change to the new one
// at any moment before.
func (d *Head) addStandard(h http.Header, by *Signing) {
	at := strconv.FormatInt(by.At.Unix(), 10)
	signature := mac.SignStandard(by.Payload, d.EventID, at, mac.StandardKey(by.Secret))
	if by.Next != "" {
		signature += " " + mac.SignStandard(by.Payload, d.EventID, at, mac.StandardKey(by.Next))
	}
	values := [...]string{d.EventID, at, signature}
	h[StandardIDHeader] = values[0:1:1]
	h[StandardTimestampHeader] = values[1:2:2]
	h[StandardSignatureHeader] = values[2:3:3]
}
