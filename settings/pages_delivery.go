package settings

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/wire"
)

// deliveryView is the page of a delivery.
type deliveryView struct {
	Delivery alotwebhook.Delivery
	Endpoint alotwebhook.Endpoint // zero if it was deleted
	Attempts []attemptView        // newest first
	Older    int                  // attempts that are not among Attempts
	Payload  string               // indented; "" if it was erased or is hidden
	Exact    string               // the same as it was sent, in base64
	Sent     string               // the newest request as it was sent, without its body; "" if none was made
	Curl     string               // the command that sends it again; "" without a payload
	CurlOf   string               // the same in base64
	Erased   bool                 // there is no payload any more
	Hidden   bool                 // the visitor may not see payloads
	Live     bool                 // there will be another attempt, so the page updates itself
	Waiting  bool                 // that attempt has not begun
	Paused   time.Time            // since when the host holds it back; zero if it does not, or the delivery is finished
}

// CanSend reports whether the page offers to send the delivery again, or to send it
// now instead of at its next attempt.
func (d deliveryView) CanSend() bool {
	return d.Endpoint.ID != "" && !d.Erased && d.Delivery.State != alotwebhook.StateParked && (!d.Live || d.Waiting)
}

// attemptView is an attempt in the timeline of a delivery.
type attemptView struct {
	alotwebhook.Attempt
	Failure  reason // zero if the attempt succeeded
	Response string // the body, indented
	Exact    string // the body as it came, in base64
}

// Says returns the detail of the attempt, or "" if it says no more than the word for
// the failure.
func (a attemptView) Says() string {
	if strings.EqualFold(a.Detail, a.Failure.Word) {
		return ""
	}
	return a.Detail
}

// After returns how long after the event the last attempt ended, or "" if there is no
// attempt.
func (d deliveryView) After() string {
	if len(d.Attempts) == 0 {
		return ""
	}
	last := d.Attempts[0]
	return took(last.StartedAt.Add(last.Duration).Sub(idTime(d.Delivery.ID)))
}

// Succeeded reports whether the response had a 2xx status.
func (a attemptView) Succeeded() bool { return a.Reason == "" }

func (v *visit) showDelivery() error {
	if readQuery(v.r, flashName).err() != nil {
		return errAddress
	}
	d, err := v.delivery()
	if err != nil {
		return err
	}
	data := deliveryView{Delivery: d, Attempts: attemptViews(newest(d.Attempts)), Live: d.State == alotwebhook.StatePending}
	data.Hidden = !v.who.may[ActionPayloads]
	data.Older = d.AttemptCount - len(data.Attempts)
	// Before the first attempt, NextAttemptAt in the future is the end of the lease:
	// the attempt is under way.
	data.Waiting = data.Live && d.AttemptCount > 0 && d.NextAttemptAt.After(time.Now())
	if data.Endpoint, err = v.dispatcher.Endpoint(v.r.Context(), d.EndpointID); err != nil && !errors.Is(err, alotwebhook.ErrNotFound) {
		return err
	}
	if data.Live {
		paused, err := v.dispatcher.Pauses(v.r.Context())
		if err != nil {
			return err
		}
		data.Paused = pauses(paused).since(d.OrganizationID, d.EndpointID)
	}
	payload, erased, err := v.who.payload(v.r.Context(), v.dispatcher, d)
	if err != nil {
		return err
	}
	data.Payload, data.Exact, data.Erased = pretty(payload), exactly(payload), erased
	data.showRequest(v.dispatcher, payload)
	return v.show(http.StatusOK, "delivery", view{Heading: d.EventType, Section: "history", Data: data})
}

// showRequest shows the newest request, if one was made and its endpoint is there.
func (d *deliveryView) showRequest(from *alotwebhook.Dispatcher, payload []byte) {
	if len(d.Attempts) == 0 || d.Attempts[0].URL == "" || !wasRequested(d.Attempts[0].Attempt) {
		return
	}
	last := d.Attempts[0]
	header := from.RequestHeader(d.Delivery, last.Number)
	d.Sent = "POST " + last.URL + "\n" + strings.Join(sentLines(header), "\n") + "\n" + alotwebhook.SignatureHeader + ": sha256=…\n"
	if len(payload) > 0 {
		d.Curl = curl(last.URL, header, payload)
		d.CurlOf = exactly([]byte(d.Curl))
	}
}

// attemptViews returns the views of attempts, newest first.
func attemptViews(attempts []alotwebhook.Attempt) (views []attemptView) {
	for _, a := range slices.Backward(attempts) {
		one := attemptView{Attempt: a, Response: pretty([]byte(a.ResponseBody)), Exact: exactly([]byte(a.ResponseBody))}
		if a.Reason != "" {
			one.Failure = reasonOf(a.Reason, a.StatusCode)
			one.Failure.Do = cmp.Or(wire.Advice(a.Detail), one.Failure.Do)
		}
		views = append(views, one)
	}
	return views
}

// pretty returns JSON indented, and any other text as it is. So is JSON that the indentation would make many times
// as large: a few kilobytes of brackets alone become a hundred megabytes.
func pretty(text []byte) string {
	var indented bytes.Buffer
	if size, nested := indentedSize(text, 2); nested > maxNested || size > 4*len(text)+64<<10 {
		return string(text)
	}
	if json.Indent(&indented, text, "", "  ") != nil {
		return string(text)
	}
	return indented.String()
}

// maxNested is how deep JSON may be nested to be shown with indentation.
const maxNested = 64

// indentedSize returns about how many bytes JSON has with an indentation of so many bytes, and how deep it is nested.
func indentedSize(text []byte, width int) (size, nested int) {
	size = len(text)
	depth, inString, escaped := 0, false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
			nested = max(nested, depth)
			size += 1 + depth*width
		case c == '}' || c == ']':
			depth--
			size += 1 + max(depth, 0)*width
		case c == ',':
			size += 1 + max(depth, 0)*width
		case c == ':':
			size++
		}
	}
	return size, nested
}

// exactly returns a text in a form that a page holds byte for byte. Browsers change line ends in
// HTML.
func exactly(text []byte) string { return base64.StdEncoding.EncodeToString(text) }

func (v *visit) redeliver() error {
	if _, err := readForm(v.r); err != nil {
		return err
	}
	d, err := v.delivery()
	if err != nil {
		return err
	}
	done, err := v.dispatcher.Redeliver(v.r.Context(), d.ID)
	switch {
	case err != nil:
		return err
	case !done:
		return v.redirect("deliveries/"+d.ID, "unavailable")
	}
	return v.redirect("deliveries/"+d.ID, "redelivered")
}
