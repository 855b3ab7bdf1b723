package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

type deliveryView struct {
	Delivery alotwebhook.Delivery
	Endpoint alotwebhook.Endpoint // none if it is deleted
	Attempts []attemptView        // newest first
	Payload  string               // "" if its time is over
	// Live: there is something to wait for.
	Live bool
	// Waiting: the next attempt is not under way yet.
	Waiting bool
}

// CanSend reports whether it can be sent once more, or at once.
func (d deliveryView) CanSend() bool {
	return d.Endpoint.ID != "" && d.Payload != "" && d.Delivery.State != alotwebhook.StateParked && (!d.Live || d.Waiting)
}

type attemptView struct {
	alotwebhook.Attempt
	Failure  reason
	Response string // as text
}

// Says is the detail, if it says more than the word.
func (a attemptView) Says() string {
	if strings.EqualFold(a.Detail, a.Failure.Word) {
		return ""
	}
	return a.Detail
}

// After is how long after its event it was delivered; "" if that is not known.
func (d deliveryView) After() string {
	if len(d.Attempts) == 0 {
		return ""
	}
	last := d.Attempts[0]
	return took(last.StartedAt.Add(last.Duration).Sub(idTime(d.Delivery.ID)))
}

// Succeeded reports whether it was answered with a 2xx status.
func (a attemptView) Succeeded() bool { return a.Reason == "" }

func (v *visit) showDelivery() error {
	if readQuery(v.r, flashName).err() != nil {
		return errAddress
	}
	d, err := v.delivery()
	if err != nil {
		return err
	}
	data := deliveryView{Delivery: d, Live: d.State == alotwebhook.StatePending}
	// The first attempt is due at once: a time to come is when it is given up for lost.
	data.Waiting = data.Live && d.AttemptCount > 0 && d.NextAttemptAt.After(time.Now())
	for i := len(d.Attempts) - 1; i >= 0; i-- {
		a := attemptView{Attempt: d.Attempts[i], Response: pretty([]byte(d.Attempts[i].ResponseBody))}
		if a.Reason != "" {
			a.Failure = reasonOf(a.Reason, a.StatusCode)
		}
		data.Attempts = append(data.Attempts, a)
	}
	if data.Endpoint, err = v.dispatcher.Endpoint(v.r.Context(), d.EndpointID); err != nil && !errors.Is(err, alotwebhook.ErrNotFound) {
		return err
	}
	payload, err := payloadOf(v.r.Context(), v.dispatcher, d)
	if err != nil {
		return err
	}
	data.Payload = pretty(payload)
	return v.show(http.StatusOK, "delivery", view{Heading: d.EventType, Section: "history", Data: data})
}

// pretty indents JSON and leaves all else as it is.
func pretty(text []byte) string {
	var indented bytes.Buffer
	if json.Indent(&indented, text, "", "  ") != nil {
		return string(text)
	}
	return indented.String()
}

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
