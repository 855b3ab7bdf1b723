package storetest

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Somebody who redelivers a delivery again and again must not make the store slower, nor
// make it hold more and more.
func finishForgetsOldAttempts(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	few := t.claimOne()
	t.finish(retry(few, 0))
	few = t.claimOne()
	t.finish(failed(few))
	t.emit("org_1", completed, 1)
	const kept = alotwebhook.KeptAttempts
	for n := 1; n <= 4*kept+10; n++ {
		c := t.claimOne()
		require.Equal(t, n, c.Attempt, "the numbers go on")
		if n <= 2*kept+10 {
			t.finish(retry(c, 0))
		} else {
			t.finish(failed(c))
			require.Equal(t, 1, t.redeliver(c.DeliveryID))
		}
		if n%10 > 1 {
			continue
		}
		d := t.delivery(c.DeliveryID)
		require.Equal(t, n, d.AttemptCount, "all attempts count")
		require.GreaterOrEqual(t, len(d.Attempts), min(n, kept), "the newest are kept")
		require.LessOrEqual(t, len(d.Attempts), 2*kept, "old ones are not")
		for i, a := range d.Attempts {
			require.Equal(t, n-len(d.Attempts)+1+i, a.Number, "they are the newest, oldest first")
		}
		require.NotZero(t, d.LastStatusCode)
	}
	require.Len(t, t.delivery(few.DeliveryID).Attempts, 2, "another delivery keeps its own")
}

// Support and customers read in the history why an attempt failed. A store must not cut,
// round or reorder it.
func finishKeepsAttempts(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	want := []alotwebhook.Attempt{
		{
			Number: 1, StartedAt: time.Date(2026, 5, 25, 14, 23, 0, 123456000, time.UTC), Duration: 15*time.Second + 7*time.Microsecond,
			Reason: alotwebhook.ReasonTimeout, Detail: strings.Repeat("é", 128),
		},
		{
			Number: 2, StartedAt: time.Date(2026, 5, 25, 14, 23, 30, 999999000, time.UTC), Duration: 42 * time.Microsecond,
			StatusCode: 503, Reason: alotwebhook.ReasonStatus, Detail: `it's "full" \ 100 %`, ResponseBody: "<b>\n\t日本 😀</b>" + strings.Repeat("x", 4000),
		},
		{Number: 3, StartedAt: time.Date(2026, 5, 25, 14, 33, 30, 0, time.UTC), Duration: time.Millisecond, StatusCode: 202},
	}
	id := ""
	for i, a := range want {
		c := t.claimOne()
		id = c.DeliveryID
		require.Equal(t, a.Number, c.Attempt)
		o := alotwebhook.Outcome{DeliveryID: id, Token: c.Token, Attempt: a, State: alotwebhook.StatePending}
		if i == len(want)-1 {
			o.State = alotwebhook.StateDelivered
		}
		t.finish(o)
	}
	d := t.delivery(id)
	require.Equal(t, 3, d.AttemptCount)
	require.Equal(t, 202, d.LastStatusCode)
	require.Empty(t, d.LastReason)
	require.Len(t, d.Attempts, len(want))
	for i := range want {
		require.True(t, want[i].StartedAt.Equal(d.Attempts[i].StartedAt), "attempt %d began at %v, not %v", i+1, want[i].StartedAt, d.Attempts[i].StartedAt)
		d.Attempts[i].StartedAt = want[i].StartedAt
		want[i].URL = e.URL
	}
	require.Equal(t, want, d.Attempts)
	d.Attempts[0].Detail = "changed by the caller"
	require.Equal(t, want[0].Detail, t.delivery(id).Attempts[0].Detail, "the caller may change the result of a method")
}

// A receiver chooses the text of its response. None of it may stop the recording of
// attempts, which are stored together with those to others.
func finishKeepsEveryCharacter(t *trial) {
	var all strings.Builder
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if utf8.ValidRune(r) && (r < 0x3000 || r%0x101 == 0 || r&0xfffe == 0xfffe) { // every byte that UTF-8 has, and every kind
			all.WriteRune(r)
		}
	}
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	c := t.claim(2)
	want := all.String()
	bad, good := retry(c[0], long), delivered(c[1])
	bad.Attempt.Reason, bad.Attempt.Detail, bad.Attempt.ResponseBody = alotwebhook.FailureReason(want), want, want
	good.Attempt.ResponseBody = strings.Repeat("\uffff\x7f", 16<<10)
	t.finish(bad, good)
	got := t.delivery(c[0].DeliveryID)
	require.Len(t, got.Attempts, 1)
	require.Equal(t, alotwebhook.FailureReason(want), got.LastReason)
	require.Equal(t, alotwebhook.FailureReason(want), got.Attempts[0].Reason)
	require.Equal(t, want, got.Attempts[0].Detail)
	require.Equal(t, want, got.Attempts[0].ResponseBody)
	require.Equal(t, good.Attempt.ResponseBody, t.delivery(c[1].DeliveryID).Attempts[0].ResponseBody)
}

// A dispatcher that is refused a batch stores its outcomes again in parts. It must know
// that nothing of it was stored, and the others must not have lost their claims.
func finishRefusesAsAWhole(t *trial) {
	t.endpoint("org_1", completed)
	for _, text := range []string{"a\x00b", "\xff\xfe", "\xed\xa0\x80", strings.Repeat("\x00", 5000)} {
		t.emit("org_1", completed, 4)
		c := t.claim(4)
		batch := []alotwebhook.Outcome{delivered(c[0]), retry(c[1], long), retry(c[2], long), failed(c[3])}
		batch[1].Attempt.ResponseBody, batch[1].Attempt.Detail = text, text
		lost, err := t.store.Finish(t.ctx(), batch)
		if err == nil {
			require.Empty(t, lost)
		} else {
			for i := range c {
				t.requireState(c[i].DeliveryID, alotwebhook.StatePending)
				require.Empty(t, t.delivery(c[i].DeliveryID).Attempts, "nothing of a batch that is refused is stored")
			}
			t.finish(batch[0], batch[2])
			batch[1].Attempt.ResponseBody, batch[1].Attempt.Detail = "", ""
			t.finish(batch[1], batch[3])
		}
		t.requireState(c[0].DeliveryID, alotwebhook.StateDelivered)
		t.requireState(c[3].DeliveryID, alotwebhook.StateFailed)
		for i := range c {
			require.Len(t, t.delivery(c[i].DeliveryID).Attempts, 1)
		}
	}
}
