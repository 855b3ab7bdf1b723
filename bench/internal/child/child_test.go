package child_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/child"
)

func TestMain(m *testing.M) {
	child.Main(child.Roles{"adder": adder})
	m.Run()
}

// adder adds what it is given to the number that is its task.
func adder(ctx context.Context, task json.RawMessage) (child.Handler, error) {
	var sum int
	if err := json.Unmarshal(task, &sum); err != nil {
		return nil, errors.New("the task is no number")
	}
	return func(_ context.Context, method string, argument json.RawMessage) (any, error) {
		switch method {
		case "wait":
			<-ctx.Done()
			return nil, ctx.Err()
		case "exit":
			os.Exit(3)
		}
		var n int
		if err := json.Unmarshal(argument, &n); err != nil {
			return nil, errors.New("the argument is no number")
		}
		sum += n
		return sum, nil
	}, nil
}

func TestCalls(t *testing.T) {
	t.Parallel()
	p, err := child.Start(t.Context(), "adder", 40)
	require.NoError(t, err)
	defer p.Stop()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			var sum int
			if err := p.Call(t.Context(), "add", 1, &sum); err != nil || sum < 41 || sum > 50 {
				t.Errorf("sum %d, error %v", sum, err)
			}
		})
	}
	wg.Wait()
	var sum int
	require.NoError(t, p.Call(t.Context(), "add", 0, &sum))
	require.Equal(t, 50, sum)
	require.EqualError(t, p.Call(t.Context(), "add", "one", nil), "the adder process: the argument is no number")
	require.NoError(t, p.Call(t.Context(), "add", 0, nil), "an error does not end the child")
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	_, err := child.Start(t.Context(), "adder", "forty")
	require.ErrorContains(t, err, "the task is no number")
	_, err = child.Start(t.Context(), "unknown", nil)
	require.ErrorContains(t, err, "the unknown process has ended")
}

func TestEndOfChild(t *testing.T) {
	t.Parallel()
	p, err := child.Start(t.Context(), "adder", 0)
	require.NoError(t, err)
	defer p.Stop()
	require.ErrorContains(t, p.Call(t.Context(), "exit", nil, nil), "the adder process has ended")
}

// A call that does not return ends with its context, and with it the child.
func TestCallIsBounded(t *testing.T) {
	t.Parallel()
	p, err := child.Start(t.Context(), "adder", 0)
	require.NoError(t, err)
	defer p.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Call(ctx, "wait", nil, nil), context.Canceled)
}

// The end of stdin ends a call that waits: the child does not outlive its parent.
func TestStopEndsWaitingCalls(t *testing.T) {
	t.Parallel()
	p, err := child.Start(t.Context(), "adder", 0)
	require.NoError(t, err)
	called := make(chan error, 1)
	go func() { called <- p.Call(t.Context(), "wait", nil, nil) }()
	p.Stop()
	require.Error(t, <-called)
}
