package adopt_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/adopt"
)

var (
	errConflict = errors.New("changed meanwhile")
	errStore    = errors.New("the store is away")
)

// twoSearches is how long it takes at most until a job that stands still is adopted: until
// the first search that sees it, and from there to the next.
const twoSearches = 20 * time.Second

// job is work of several parts.
type job struct {
	ID         string
	Version    int64
	Done, Left int
}

// store keeps jobs that processes share, and counts what each process has done.
type store struct {
	mu   sync.Mutex
	jobs map[string]job
	did  map[string]int // parts by process
}

func newStore(jobs ...job) *store {
	s := &store{jobs: map[string]job{}, did: map[string]int{}}
	for _, j := range jobs {
		s.jobs[j.ID] = j
	}
	return s
}

func (s *store) get(id string) job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[id]
}

func (s *store) parts(process string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.did[process]
}

// process is one that works on the jobs of a store, a part a second. It fails while fail
// is set.
type process struct {
	*adopt.Jobs[job]
	*store
	name  string
	log   bytes.Buffer
	fail  error
	saves int
	do    func(context.Context, *job) (time.Duration, error) // if set, in the place of a part
}

func newProcess(s *store, name string) *process {
	p := &process{store: s, name: name}
	p.Jobs = adopt.New(adopt.Config[job]{
		Status: func(j job) adopt.Status {
			return adopt.Status{ID: j.ID, Version: j.Version, New: j.Done == 0, Active: j.Left > 0}
		},
		Search: p.search, Load: p.load, Save: p.save, Conflict: errConflict, Do: p.part,
		Operation: "count", Log: slog.New(slog.NewTextHandler(&p.log, nil)),
	})
	return p
}

func (p *process) search(_ context.Context, found func(job)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range p.jobs {
		if j.Left > 0 {
			found(j)
		}
	}
	return p.fail
}

func (p *process) load(_ context.Context, id string) (job, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.jobs[id], p.fail
}

func (p *process) save(_ context.Context, j *job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	if p.jobs[j.ID].Version != j.Version {
		return errConflict
	}
	j.Version++
	p.jobs[j.ID] = *j
	p.saves++
	return nil
}

func (p *process) part(ctx context.Context, j *job) (time.Duration, error) {
	if p.do != nil {
		return p.do(ctx, j)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	j.Done, j.Left = j.Done+1, j.Left-1
	p.did[p.name]++
	return time.Second, nil
}

func (p *process) breakDown(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// begin runs a process until the returned function is called or the test ends.
func (p *process) begin(t *testing.T) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

// touch changes a job from outside of all processes that run.
func (s *store) touch(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id]
	j.Version++
	s.jobs[id] = j
}

func (s *store) put(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[j.ID] = j
}

func TestNewJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "before", Left: 3})
		p := newProcess(s, "p")
		defer p.begin(t)()
		require.Equal(t, 1, p.parts("p"), "the first part is done at once")
		time.Sleep(time.Second + 1)
		require.Equal(t, 2, p.parts("p"), "and the next after its pause")

		s.put(job{ID: "woken", Left: 1})
		p.Wake()
		synctest.Wait()
		require.Zero(t, s.get("woken").Left, "a wake-up makes it search at once")

		s.put(job{ID: "elsewhere", Left: 1})
		synctest.Wait()
		require.Equal(t, 1, s.get("elsewhere").Left)
		time.Sleep(twoSearches / 2)
		require.Zero(t, s.get("elsewhere").Left, "the next search sees it")
		require.Zero(t, s.get("before").Left)
		require.Empty(t, p.log.String())
	})
}

// A search that finds a process's own job does not make its pauses shorter.
func TestPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "a", Left: 1})
		p := newProcess(s, "p")
		steps := 0
		p.do = func(context.Context, *job) (time.Duration, error) { steps++; return 5 * time.Second, nil }
		end := p.begin(t)
		for range 24 {
			p.Wake()
			time.Sleep(500*time.Millisecond - 1)
		}
		end()
		require.Equal(t, 3, steps)
	})
}

// A job that stands still has no process. Wake-ups do not make its wait shorter.
func TestAbandonedJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "a", Done: 1, Left: 2})
		p := newProcess(s, "p")
		defer p.begin(t)()
		for range 8 {
			p.Wake()
			time.Sleep(time.Second)
		}
		require.Zero(t, p.parts("p"), "it may have a process, since it was seen once")
		time.Sleep(5 * time.Second)
		require.Zero(t, s.get("a").Left)
	})
}

// A job that moves on has a process, however often others search.
func TestJobOfAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "a", Done: 1, Left: 2})
		p := newProcess(s, "p")
		defer p.begin(t)()
		for range 50 {
			time.Sleep(5 * time.Second)
			s.touch("a")
			p.Wake()
		}
		require.Zero(t, p.parts("p"))
		time.Sleep(twoSearches)
		require.NotZero(t, p.parts("p"), "the other has ended")
	})
}

// Processes that adopt the same job at the same moment do each part once, at the pace of
// one, and all but one of them leave it.
func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "a", Left: 100}, job{ID: "b", Done: 1, Left: 100})
		p, q := newProcess(s, "p"), newProcess(s, "q")
		defer p.begin(t)()
		defer q.begin(t)()
		time.Sleep(time.Minute)
		require.LessOrEqual(t, s.get("a").Done, 62, "the pace is one process's")
		time.Sleep(2 * time.Minute)
		require.Zero(t, s.get("a").Left)
		require.Zero(t, s.get("b").Left)
		require.Equal(t, 200, s.parts("p")+s.parts("q"))
		require.Empty(t, p.log.String()+q.log.String(), "a conflict is no failure")
	})
}

// A process leaves a job that somebody else has changed, and takes it up again if it
// stands still.
func TestConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "a", Left: 10}, job{ID: "ended", Left: 10})
		p := newProcess(s, "p")
		defer p.begin(t)()
		s.touch("a")
		s.put(job{ID: "ended", Version: 100})
		time.Sleep(8 * time.Second)
		require.Equal(t, 2, p.parts("p"), "one of each, before the changes")
		time.Sleep(2500 * time.Millisecond)
		require.Greater(t, p.parts("p"), 2, "the next search finds the version that it left")
		time.Sleep(twoSearches)
		require.Zero(t, s.get("a").Left)
		require.Equal(t, 11, p.parts("p"))
		require.Equal(t, job{ID: "ended", Version: 100}, s.get("ended"))
	})
}

// The next process goes on with a job whose process was cut off, and repeats no part.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "a", Left: 10})
		first := newProcess(s, "first")
		end := first.begin(t)
		time.Sleep(3500 * time.Millisecond)
		end()
		require.Equal(t, 4, s.get("a").Done)
		time.Sleep(time.Hour)
		require.Equal(t, 4, s.get("a").Done, "nobody runs")
		defer newProcess(s, "second").begin(t)()
		time.Sleep(twoSearches)
		require.Zero(t, s.get("a").Left)
		require.Equal(t, 6, s.parts("second"))
		require.Empty(t, first.log.String(), "its end is no failure")
	})
}

// A store that is away delays a job. The log has one line at the beginning and one at the
// end.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "a", Left: 10})
		p := newProcess(s, "p")
		defer p.begin(t)()
		time.Sleep(2500 * time.Millisecond)
		p.breakDown(errStore)
		time.Sleep(time.Minute)
		require.Equal(t, 3, s.get("a").Done)
		p.breakDown(nil)
		time.Sleep(twoSearches)
		require.Zero(t, s.get("a").Left)
		lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
		require.Len(t, lines, 2)
		require.Contains(t, lines[0], `operation=count error="the store is away"`)
		require.Contains(t, lines[1], "has recovered")
	})
}

// A job whose steps always fail delays no other job.
func TestOneJobFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "bad", Left: 10}, job{ID: "good", Left: 30})
		p := newProcess(s, "p")
		p.do = func(_ context.Context, j *job) (time.Duration, error) {
			if j.ID == "bad" {
				return 0, errStore
			}
			j.Done, j.Left = j.Done+1, j.Left-1
			return time.Second, nil
		}
		defer p.begin(t)()
		time.Sleep(30500 * time.Millisecond)
		require.Zero(t, s.get("good").Left)
		require.Equal(t, 10, s.get("bad").Left)
		require.Equal(t, 1, strings.Count(p.log.String(), "the store fails"), p.log.String())
	})
}

// Another process takes over from one that has lost its store. When that one is back, it
// leaves the job to the other.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "a", Left: 100})
		p, q := newProcess(s, "p"), newProcess(s, "q")
		defer p.begin(t)()
		defer q.begin(t)()
		time.Sleep(30 * time.Second)
		broken, other := p, q // whichever works on the job breaks
		if p.parts("p") < q.parts("q") {
			broken, other = q, p
		}
		before := s.parts(broken.name)
		broken.breakDown(errStore)
		time.Sleep(2 * twoSearches)
		broken.breakDown(nil)
		time.Sleep(3 * time.Minute)
		require.Zero(t, s.get("a").Left)
		require.Equal(t, before, s.parts(broken.name))
		require.Equal(t, 100, s.parts("p")+s.parts("q"))
		require.Empty(t, other.log.String())
	})
}

// A job that hangs is given up for a while, so that the others go on.
func TestHangingJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(job{ID: "hangs", Left: 1}, job{ID: "goes", Left: 1})
		p := newProcess(s, "p")
		p.do = func(ctx context.Context, j *job) (time.Duration, error) {
			if j.ID == "hangs" {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			j.Done, j.Left = j.Done+1, 0
			return 0, nil
		}
		defer p.begin(t)()
		time.Sleep(time.Hour)
		require.Zero(t, s.get("goes").Left)
		require.Equal(t, 1, s.get("hangs").Left)
		require.Contains(t, p.log.String(), "deadline exceeded")
	})
}

// A step claims its part before it is done. Of one that fails, only the claim is kept.
func TestStep(t *testing.T) {
	t.Parallel()
	s := newStore(job{ID: "a", Left: 2})
	p := newProcess(s, "p")
	j, late := s.get("a"), s.get("a")
	pause, err := p.Step(t.Context(), &j)
	require.NoError(t, err)
	require.Equal(t, time.Second, pause)
	require.Equal(t, job{ID: "a", Version: 2, Done: 1, Left: 1}, j)
	require.Equal(t, j, s.get("a"))

	_, err = p.Step(t.Context(), &late)
	require.ErrorIs(t, err, errConflict)
	require.Equal(t, 1, s.parts("p"), "nothing is done without a claim")

	p.do = func(_ context.Context, j *job) (time.Duration, error) { j.Left = 0; return 0, errStore }
	_, err = p.Step(t.Context(), &j)
	require.ErrorIs(t, err, errStore)
	require.Equal(t, job{ID: "a", Version: 3, Done: 1, Left: 1}, j)
	require.Equal(t, j, s.get("a"))

	p.do = func(_ context.Context, j *job) (time.Duration, error) { s.touch(j.ID); j.Left = 0; return 0, nil }
	_, err = p.Step(t.Context(), &j)
	require.ErrorIs(t, err, errConflict)
	require.Equal(t, 1, j.Left, "somebody else changed it meanwhile")
}

func TestChange(t *testing.T) {
	t.Parallel()
	s := newStore(job{ID: "a", Left: 2})
	p := newProcess(s, "p")
	calls := 0
	changed, err := p.Change(t.Context(), "a", func(j *job) error {
		if calls++; calls == 1 {
			s.touch("a") // a conflict
		}
		j.Left = 5
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, calls)
	require.Equal(t, job{ID: "a", Version: 2, Left: 5}, changed)
	require.Equal(t, changed, s.get("a"))

	same, err := p.Change(t.Context(), "a", func(*job) error { return nil })
	require.NoError(t, err)
	require.Equal(t, changed, same)
	require.Equal(t, 1, p.saves, "nothing has changed")

	refusal := errors.New("refused")
	none, err := p.Change(t.Context(), "a", func(j *job) error { j.Left = 9; return refusal })
	require.ErrorIs(t, err, refusal)
	require.Zero(t, none)
	require.Equal(t, changed, s.get("a"))

	p.fail = errStore
	_, err = p.Change(t.Context(), "a", func(j *job) error { j.Left = 9; return nil })
	require.ErrorIs(t, err, errStore)
}
