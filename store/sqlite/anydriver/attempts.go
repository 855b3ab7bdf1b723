package anydriver

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
)

// attempt is an attempt as JSON. The attempts of a delivery stand in its own row:
// they are only ever read with it, and rows of their own would cost a third more to
// write.
type attempt struct {
	Number   int    `json:"n"`
	Started  int64  `json:"at"`          // microseconds since 1970
	Duration int64  `json:"ns"`          // nanoseconds
	URLs     int    `json:"u,omitempty"` // which of the endpoint's URLs: see table urls
	Status   int    `json:"status,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"`
	Body     []byte `json:"body,omitempty"` // as base64, since a body need not be text
}

// appendAttempt adds an attempt to a history, which is JSON objects with commas
// between.
func appendAttempt(history string, o *alotwebhook.Outcome) (string, error) {
	a := &o.Attempt
	b := make([]byte, 0, len(history)+96)
	if b = append(b, history...); len(b) > 0 {
		b = append(b, ',')
	}
	if a.Reason == "" && a.Detail == "" && a.ResponseBody == "" {
		return string(appendSuccess(b, a, o.URLs)), nil
	}
	more, err := json.Marshal(attempt{
		Number:   a.Number,
		Started:  a.StartedAt.UnixMicro(),
		Duration: int64(a.Duration),
		URLs:     o.URLs,
		Status:   a.StatusCode,
		Reason:   string(a.Reason),
		Detail:   a.Detail,
		Body:     []byte(a.ResponseBody),
	})
	return string(append(b, more...)), err
}

// appendSuccess appends an attempt without a reason, detail and body, as nearly all
// are. It writes the JSON by hand, which is faster than by reflection.
func appendSuccess(b []byte, a *alotwebhook.Attempt, urls int) []byte {
	b = strconv.AppendInt(append(b, `{"n":`...), int64(a.Number), 10)
	b = strconv.AppendInt(append(b, `,"at":`...), a.StartedAt.UnixMicro(), 10)
	b = strconv.AppendInt(append(b, `,"ns":`...), int64(a.Duration), 10)
	if urls != 0 {
		b = strconv.AppendInt(append(b, `,"u":`...), int64(urls), 10)
	}
	if a.StatusCode != 0 {
		b = strconv.AppendInt(append(b, `,"status":`...), int64(a.StatusCode), 10)
	}
	return append(b, '}')
}

// newestAttempts returns a history without its old attempts, if there are many: each
// attempt writes the whole history again.
func newestAttempts(history string) (string, error) {
	var stored []json.RawMessage
	if err := json.Unmarshal([]byte("["+history+"]"), &stored); err != nil {
		return "", damaged(err)
	}
	if len(stored) < 2*alotwebhook.KeptAttempts {
		return history, nil
	}
	kept := stored[len(stored)-alotwebhook.KeptAttempts:]
	var b []byte
	for i, a := range kept {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, a...)
	}
	return string(b), nil
}

func damaged(err error) error {
	return fmt.Errorf("the stored attempts are damaged, restore the file from a backup: %w", err)
}

// parseAttempts reads a history. urls are the endpoint's, by their numbers.
func parseAttempts(history string, urls map[int]string) ([]alotwebhook.Attempt, error) {
	var stored []attempt
	if err := json.Unmarshal([]byte("["+history+"]"), &stored); err != nil {
		return nil, damaged(err)
	}
	var list []alotwebhook.Attempt
	for _, a := range stored {
		list = append(list, alotwebhook.Attempt{
			Number:       a.Number,
			StartedAt:    instant(a.Started),
			URL:          urls[a.URLs],
			Duration:     time.Duration(a.Duration),
			StatusCode:   a.Status,
			Reason:       alotwebhook.FailureReason(a.Reason),
			Detail:       a.Detail,
			ResponseBody: string(a.Body),
		})
	}
	return list, nil
}
