package sqlite_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// BenchmarkEnqueueAbout stores events that have a subject, beside BenchmarkEnqueue of such as have none.
func BenchmarkEnqueueAbout(b *testing.B) {
	for _, batch := range []int{1, 1000} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			s := open(b, newPath(b))
			fleet(b, s, 10)
			var m meter
			rows := 0
			for b.Loop() {
				b.StopTimer()
				events := make([]alotwebhook.Event, batch)
				for i := range events {
					events[i] = about(b, organization(i%10), fmt.Sprintf("cand_%020d", (rows+i)*7919%100_000))
				}
				b.StartTimer()
				m.start()
				require.NoError(b, s.Enqueue(context.Background(), events))
				m.stop()
				rows += batch
			}
			m.perRow(b, rows)
		})
	}
}

// BenchmarkErase erases pages of events that are delivered, after a failed attempt with a response.
func BenchmarkErase(b *testing.B) {
	const events, page = 20_000, 1000
	for name, r := range map[string]alotwebhook.Recovery{"subject": {Subject: "cand_1"}, "organization": {OrganizationID: organization(0)}} {
		b.Run(name, func(b *testing.B) {
			rows := 0
			var m meter
			for b.Loop() {
				b.StopTimer()
				s := open(b, newPath(b))
				answered(b, s, events)
				b.StartTimer()
				m.start()
				r.Cursor = ""
				for next := "begin"; next != ""; r.Cursor = next {
					var n int
					var err error
					n, next, err = s.Erase(context.Background(), r, page)
					require.NoError(b, err)
					rows += n
				}
				m.stop()
			}
			m.perRow(b, rows)
		})
	}
}

// answered stores events of one subject and delivers them.
func answered(b *testing.B, s *sqlite.Store, n int) {
	b.Helper()
	fleet(b, s, 1)
	events := make([]alotwebhook.Event, n)
	for i := range events {
		events[i] = about(b, organization(0), "cand_1")
	}
	require.NoError(b, s.Enqueue(context.Background(), events))
	for range 2 * n / 1000 {
		var outcomes []alotwebhook.Outcome
		for _, c := range claim(b, s, 1000, nil) {
			o := alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
				Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), Duration: time.Millisecond, StatusCode: 204}}
			if c.Attempt == 1 {
				o.State, o.Attempt.StatusCode, o.Attempt.Reason, o.Attempt.ResponseBody = alotwebhook.StatePending, 500, alotwebhook.ReasonStatus, "an answer"
			}
			outcomes = append(outcomes, o)
		}
		_, err := s.Finish(context.Background(), outcomes)
		require.NoError(b, err)
	}
}
