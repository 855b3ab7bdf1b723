package alotwebhook_test

import (
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// Any backoff.BackOff can be the retry policy. This one makes five attempts, and each wait
// is four times as long as the one before.
func ExampleRetryPolicy() {
	policy := func() backoff.BackOff {
		exponential := backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(time.Minute),
			backoff.WithMultiplier(4),
			backoff.WithRandomizationFactor(0), // for the output below; the default, 0.5, spreads the load
			backoff.WithMaxInterval(24*time.Hour),
			backoff.WithMaxElapsedTime(0), // no limit; the default, 15 minutes, would end it at the third wait
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
