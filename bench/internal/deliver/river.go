package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

// River delivers by River, a job queue that one could use instead. A job signs and posts one
// request as the raw loop does: without a guard, a history of attempts or anything else. It is
// tuned: it has as many workers as there are requests in flight, and the shortest pauses
// between fetches that make it faster.
func River() Contender {
	return Contender{Name: "River, tuned", prepare: func(ctx context.Context, rx *Receiver, l Load) (*work, error) {
		s, err := stores.New(ctx, "postgres")
		if err != nil {
			return nil, err
		}
		pool, err := pgxpool.New(ctx, s.Place.At)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		closers := &stores.Closers{s.Close, func() error {
			_, err := pool.Exec(context.WithoutCancel(ctx), "DROP SCHEMA IF EXISTS "+riverSchema+" CASCADE")
			pool.Close()
			return err
		}}
		w := &work{store: s, close: closers.Close}
		if err := w.preloadRiver(ctx, pool, rx.URL, l); err != nil {
			return nil, errors.Join(err, w.close())
		}
		return w, nil
	}}
}

func (w *work) preloadRiver(ctx context.Context, pool *pgxpool.Pool, url string, l Load) error {
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+riverSchema); err != nil {
		return err
	}
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: riverSchema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	inFlight, n := l.InFlight, l.Deliveries
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
		return err
	}
	if w.stored, err = insertJobs(ctx, w.store, client, l); err != nil {
		return err
	}
	w.run = func(ctx context.Context, _ int) (used, error) {
		defer transport.CloseIdleConnections()
		return used{}, worker.run(ctx, client)
	}
	return nil
}

// run returns once all jobs are done and their results are stored.
func (w *postWorker) run(ctx context.Context, client *river.Client[pgx.Tx]) error {
	if err := client.Start(ctx); err != nil {
		return err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
	}
	err := client.Stop(ctx)
	if failed := w.failed.Load(); failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d jobs failed", failed))
	}
	return err
}

// insertJobs inserts them in batches, by COPY, and returns what that cost.
func insertJobs(ctx context.Context, s *stores.Store, client *river.Client[pgx.Tx], l Load) (Cost, error) {
	e, err := newEvent(eventType(0), "org_1", l.Payload)
	if err != nil {
		return Cost{}, err
	}
	began := time.Now()
	before, err := s.Used(ctx)
	if err != nil {
		return Cost{}, err
	}
	for n := l.Deliveries; n > 0; {
		params := make([]river.InsertManyParams, min(1000, n))
		for i := range params {
			params[i].Args = postArgs{Body: string(e.Payload())}
		}
		if _, err := client.InsertManyFast(ctx, params); err != nil {
			return Cost{}, err
		}
		n -= len(params)
	}
	took := time.Since(began)
	after, err := s.Used(ctx)
	if err != nil {
		return Cost{}, err
	}
	return cost(l.Deliveries, took, before, after), s.Settle(ctx)
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
