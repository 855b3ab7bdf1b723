package alotwebhook_test

import (
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// A retry policy of one's own: any backoff.BackOff plugs in. This one waits
// four times longer each time, and makes five attempts in all.
func ExampleRetryPolicy() {
	policy := func() backoff.BackOff {
		exponential := backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(time.Minute),
			backoff.WithMultiplier(4),
			backoff.WithRandomizationFactor(0), // the default, 0.5, spreads the load
			backoff.WithMaxInterval(24*time.Hour),
			backoff.WithMaxElapsedTime(0), // the default, 15 minutes, would end it at the third wait
		)
		return backoff.WithMaxRetries(exponential, 4)
	}
	_, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{Retry: policy})
	check(err)

	waits := policy()
	for wait := waits.NextBackOff(); wait != backoff.Stop; wait = waits.NextBackOff() {
		fmt.Println(wait)
	}
	// Output:
	// 1m0s
	// 4m0s
	// 16m0s
	// 1h4m0s
}
