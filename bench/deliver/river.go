package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/alot/alotwebhook/bench/internal/stores"
)

// riverSchema is the schema of River's tables.
const riverSchema = "bench_river"

// riverQueue delivers by River, a job queue that one could use instead. A job signs and posts
// one request as the raw loop does: without a guard, a history of attempts or anything else.
// It is tuned: it has as many workers as there are requests in flight, and the shortest
// pauses between fetches that make it faster.
func riverQueue(inFlight int) contender {
	return contender{name: "River, tuned", prepare: func(ctx context.Context, rx *receiver, n int) (work, error) {
		s, err := stores.New(ctx, "postgres")
		if err != nil {
			return work{}, err
		}
		pool, err := pgxpool.New(ctx, s.Place.At)
		if err != nil {
			return work{}, errors.Join(err, s.Close())
		}
		closer := sync.OnceValue(func() error {
			_, err := pool.Exec(context.WithoutCancel(ctx), "DROP SCHEMA IF EXISTS "+riverSchema+" CASCADE")
			pool.Close()
			return errors.Join(err, s.Close())
		})
		run, err := preloadRiver(ctx, pool, rx.url, inFlight, n)
		if err != nil {
			return work{}, errors.Join(err, closer())
		}
		return work{run: run, close: closer}, nil
	}}
}

func preloadRiver(ctx context.Context, pool *pgxpool.Pool, url string, inFlight, n int) (func(context.Context) error, error) {
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+riverSchema); err != nil {
		return nil, err
	}
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: riverSchema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight}
	worker := &postWorker{client: &http.Client{Transport: transport}, url: url, left: int64(n), done: make(chan struct{})}
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	client, err := river.NewClient(driver, &river.Config{
		Schema:            riverSchema,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: inFlight}},
		Workers:           workers,
		FetchCooldown:     2 * time.Millisecond,
		FetchPollInterval: 10 * time.Millisecond,
		Logger:            slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := insertJobs(ctx, client, n); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer transport.CloseIdleConnections()
		if err := client.Start(ctx); err != nil {
			return err
		}
		select {
		case <-worker.done:
		case <-ctx.Done():
		}
		err := client.Stop(ctx) // returns once all results are stored
		if failed := worker.failed.Load(); failed > 0 {
			err = errors.Join(err, fmt.Errorf("%d jobs failed", failed))
		}
		return err
	}, nil
}

func insertJobs(ctx context.Context, client *river.Client[pgx.Tx], n int) error {
	e, err := newEvent("org_1")
	if err != nil {
		return err
	}
	const batch = 1000
	for n > 0 {
		params := make([]river.InsertManyParams, min(batch, n))
		for i := range params {
			params[i].Args = postArgs{Body: string(e.Payload())}
		}
		if _, err := client.InsertManyFast(ctx, params); err != nil {
			return err
		}
		n -= len(params)
	}
	return nil
}

type postArgs struct {
	Body string `json:"body"`
}

// Kind implements [river.JobArgs].
func (postArgs) Kind() string { return "post" }

type postWorker struct {
	river.WorkerDefaults[postArgs]
	client *http.Client
	url    string

	posted, failed atomic.Int64
	left           int64
	done           chan struct{}
}

// Work implements [river.Worker].
func (w *postWorker) Work(ctx context.Context, job *river.Job[postArgs]) error {
	err := post(ctx, w.client, w.url, []byte(job.Args.Body))
	if err != nil {
		w.failed.Add(1)
	}
	if w.posted.Add(1) == w.left {
		close(w.done)
	}
	return err
}
