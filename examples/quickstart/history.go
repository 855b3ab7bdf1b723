package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/alot/alotwebhook"
)

// newest is how many deliveries are printed at most: a file that is kept grows.
const newest = 21

// report prints the history and a summary of it.
func report(ctx context.Context, d *alotwebhook.Dispatcher, names map[string]string, interrupted bool, out *output) error {
	deliveries, sum, err := history(ctx, d)
	if err != nil {
		return err
	}
	out.printf("\nHistory, newest first (an event is shown by the last six characters of its id)\n\n%s", table(deliveries, names))
	if len(deliveries) > newest {
		out.printf("  … and %d older\n", len(deliveries)-newest)
	}
	if interrupted {
		out.printf("\nInterrupted: each attempt under way was finished or released, and is in the history.")
	}
	out.printf("\n%s%s", sum, next)
	return nil
}

// history reads all deliveries, and the attempts of the newest ones.
func history(ctx context.Context, d *alotwebhook.Dispatcher) ([]alotwebhook.Delivery, *tally, error) {
	var deliveries []alotwebhook.Delivery
	sum := new(tally)
	for delivery, err := range d.Deliveries(ctx, alotwebhook.Filter{}) {
		if err != nil {
			return nil, nil, err
		}
		if len(deliveries) < newest {
			if delivery, err = d.Delivery(ctx, delivery.ID); err != nil {
				return nil, nil, err
			}
		}
		deliveries = append(deliveries, delivery)
		sum.add(delivery)
	}
	// Within a millisecond, the order of ids is random. This keeps the deliveries of an
	// event together.
	slices.SortStableFunc(deliveries, func(a, b alotwebhook.Delivery) int { return cmp.Compare(b.EventID, a.EventID) })
	return deliveries, sum, nil
}

func table(deliveries []alotwebhook.Delivery, names map[string]string) string {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  event\t\tendpoint\tstate\tattempts\tstatus codes\treasons")
	for _, d := range deliveries[:min(newest, len(deliveries))] {
		fmt.Fprintf(t, "  …%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.EventID[len(d.EventID)-6:], d.EventType,
			names[d.EndpointID], d.State, d.AttemptCount, statusCodes(d.Attempts), reasons(d.Attempts))
	}
	t.Flush()
	return trailingBlanks.ReplaceAllString(text.String(), "")
}

var trailingBlanks = regexp.MustCompile(`(?m) +$`)

func statusCodes(attempts []alotwebhook.Attempt) string {
	codes := make([]string, len(attempts))
	for i, a := range attempts {
		if codes[i] = strconv.Itoa(a.StatusCode); a.StatusCode == 0 {
			codes[i] = "none"
		}
	}
	return strings.Join(codes, " ")
}

// reasons lists each failure reason once, with the number of attempts if there are more.
func reasons(attempts []alotwebhook.Attempt) string {
	var order []string
	times := map[string]int{}
	for _, a := range attempts {
		reason := string(a.Reason)
		if reason != "" && !slices.Contains(order, reason) {
			order = append(order, reason)
		}
		times[reason]++
	}
	for i, reason := range order {
		if times[reason] > 1 {
			order[i] = fmt.Sprintf("%s ×%d", reason, times[reason])
		}
	}
	return strings.Join(order, ", ")
}

// tally counts deliveries by how they ended.
type tally struct{ all, atOnce, retried, failed, pending, parked int }

func (t *tally) add(d alotwebhook.Delivery) {
	t.all++
	switch {
	case d.State == alotwebhook.StateDelivered && d.AttemptCount == 1:
		t.atOnce++
	case d.State == alotwebhook.StateDelivered:
		t.retried++
	case d.State == alotwebhook.StateFailed:
		t.failed++
	case d.State == alotwebhook.StateParked:
		t.parked++
	default:
		t.pending++
	}
}

func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d deliveries: %d delivered at once, %d after retries, %d failed after the last attempt",
		t.all, t.atOnce, t.retried, t.failed)
	if t.parked > 0 {
		fmt.Fprintf(&b, ", %d parked", t.parked)
	}
	if t.pending > 0 {
		fmt.Fprintf(&b, ", %d pending", t.pending)
	}
	b.WriteString(".\n")
	if t.failed > 0 {
		b.WriteString("Failed deliveries are kept, and can be redelivered with the same event id.\n")
	}
	if t.pending > 0 {
		b.WriteString("Pending deliveries stay in the file: with -db PATH, the next run sends them.\n")
	}
	return b.String()
}

const next = `
Where to look next
  examples/quickstart/deliver.go   the sender: a store, a dispatcher, endpoints, events
  examples/quickstart/receiver.go  the customer: a verifier, and a handler for each event type
  README.md                        the guarantees, the stores, the configuration
`
