package dedupetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe/dedupetest"
)

// mutantVariable names the environment variable that tells a child process which
// broken Deduper to run the suite on.
const mutantVariable = "ALOTWEBHOOK_DEDUPETEST_MUTANT"

// mutants are Dedupers with one fault each, and the rules whose tests must fail
// because of it.
var mutants = map[string]struct {
	broken simple
	found  []string
}{
	"ForgetsDone":         {simple{forgetsDone: true}, []string{"DoneStaysDone", "LateButFirst", "EachOnce"}},
	"DoneUntilLeaseEnds":  {simple{doneUntilLeaseEnds: true}, []string{"DoneStaysDone"}},
	"MarksBefore":         {simple{marksBefore: true}, []string{"OneHolder", "ReleaseGivesBack", "LeaseRunsOut"}},
	"NoLease":             {simple{noLease: true}, []string{"OneHolder", "OneOfMany"}},
	"LeaseForEver":        {simple{leaseForEver: true}, []string{"LeaseRunsOut"}},
	"LooksThenClaims":     {simple{looksThenClaims: true}, []string{"OneOfMany", "EachOnce"}},
	"CompleteUnfenced":    {simple{completeUnfenced: true}, []string{"LostCannotComplete", "TokensAreNew", "SettledIsSettled"}},
	"ReleaseUnfenced":     {simple{releaseUnfenced: true}, []string{"LostCannotRelease", "SettledIsSettled"}},
	"LostNotReported":     {simple{lostNotReported: true}, []string{"LostCannotComplete", "LostCannotRelease", "SettledIsSettled"}},
	"CountsTokensByKey":   {simple{countsTokensByKey: true}, []string{"TokensAreNew"}},
	"CompleteOnlyOnce":    {simple{completeOnlyOnce: true}, []string{"CompleteTwice"}},
	"LateIsLost":          {simple{lateIsLost: true}, []string{"LateButFirst"}},
	"FoldsCase":           {simple{foldsCase: true}, []string{"KeysAreApart"}},
	"CutsKeys":            {simple{cutsKeys: true}, []string{"KeysAreApart"}},
	"TakesAnyKey":         {simple{takesAnyKey: true}, []string{"KeysAreRefused"}},
	"TakesAnyLease":       {simple{takesAnyLease: true}, []string{"LeaseOfNothing"}},
	"LeaseOverflows":      {simple{leaseOverflows: true}, []string{"LeaseOfAges"}},
	"NoWait":              {simple{noWait: true}, []string{"OneHolder"}},
	"ReleaseDoesNothing":  {simple{releaseDoesNothing: true}, []string{"ReleaseGivesBack"}},
	"SettlesAnything":     {simple{settlesAnything: true}, []string{"OnlyClaimsSettle"}},
	"IgnoresItsContext":   {simple{ignoresContext: true}, []string{"AnErrorClaimsNothing"}},
	"ClaimsDespiteErrors": {simple{claimsDespiteErrors: true}, []string{"AnErrorClaimsNothing"}},
	"KeepsCutClaims":      {simple{keepsCutClaims: true}, []string{"ACutClaimIsFree"}},
}

func TestMutantsAreFound(t *testing.T) {
	t.Parallel()
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, rule := range m.found {
				out, err := runMutant(t, name, "/^"+rule+"$")
				exit := &exec.ExitError{}
				require.ErrorAs(t, err, &exit, "the suite passes a Deduper that is broken: %s\n%s", rule, out)
				require.Contains(t, out, "--- FAIL: TestMutant/"+rule, "another rule failed")
				require.Contains(t, out, "the Deduper breaks this rule of alotwebhook.Deduper: ", "a failure quotes the rule")
			}
		})
	}
}

func TestUnbrokenPasses(t *testing.T) {
	t.Parallel()
	out, err := runMutant(t, "none", "")
	require.NoError(t, err, out)
	require.GreaterOrEqual(t, strings.Count(out, "--- PASS: TestMutant/"), 19, "the whole suite was run")
}

// runMutant runs a part of the suite on a broken Deduper, in a child process.
func runMutant(t *testing.T, name, pattern string) (output string, err error) {
	t.Helper()
	timeout := "-test.timeout=10m"
	if name == "LeaseForEver" {
		timeout = "-test.timeout=30s" // the suite waits for half of it until it gives the lease up
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMutant$"+pattern, "-test.v", timeout)
	cmd.Env = append(os.Environ(), mutantVariable+"="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestMutant runs the suite on a broken Deduper. The tests above start it in a child
// process.
func TestMutant(t *testing.T) {
	name := os.Getenv(mutantVariable)
	if name == "" {
		t.Skip("TestMutantsAreFound runs this in a child process")
	}
	dedupetest.Run(t, func(testing.TB) alotwebhook.Deduper {
		s := mutants[name].broken
		s.mu, s.keys = new(sync.Mutex), map[string]*row{}
		return &s
	})
}

// simple is a Deduper that keeps the contract unless one of its faults is set.
type simple struct {
	mu     *sync.Mutex
	keys   map[string]*row
	tokens int64

	forgetsDone, doneUntilLeaseEnds, marksBefore, noLease, leaseForEver, looksThenClaims bool
	completeUnfenced, releaseUnfenced, lostNotReported, countsTokensByKey                bool
	completeOnlyOnce, lateIsLost, foldsCase, cutsKeys, noWait, releaseDoesNothing        bool
	settlesAnything, ignoresContext, claimsDespiteErrors                                 bool
	takesAnyKey, takesAnyLease, leaseOverflows, keepsCutClaims                           bool
}

type row struct {
	token int64
	done  bool
	until time.Time
}

func (s *simple) key(key string) string {
	if s.foldsCase {
		key = strings.ToLower(key)
	}
	if s.cutsKeys {
		key = key[:min(len(key), 200)]
	}
	return key
}

func (s *simple) Claim(ctx context.Context, key string, lease time.Duration) (c alotwebhook.DedupeClaim, err error) {
	c.Key = key
	if err := ctx.Err(); err != nil && !s.ignoresContext && !s.claimsDespiteErrors {
		return c, err
	}
	switch isKey := key != "" && len(key) <= 255 && utf8.ValidString(key) && !strings.Contains(key, "\x00"); {
	case !isKey && !s.takesAnyKey:
		return c, errors.New("no key")
	case lease <= 0 && !s.takesAnyLease:
		return c, errors.New("no lease")
	case s.leaseOverflows:
		lease += time.Millisecond - 1 // to round it up
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.keys[s.key(key)]
	if s.looksThenClaims {
		s.mu.Unlock()
		time.Sleep(10 * time.Millisecond) // so that other goroutines look, too
		s.mu.Lock()
	}
	switch held := r != nil && !s.noLease && (s.leaseForEver || time.Now().Before(r.until)); {
	case r != nil && r.done && (held || !s.doneUntilLeaseEnds):
		c.State = alotwebhook.DedupeDone
		return c, nil
	case held:
		c.State = alotwebhook.DedupeInProgress
		if !s.noWait {
			c.Wait = time.Until(r.until)
		}
		return c, nil
	}
	s.tokens++
	c.State, c.Token = alotwebhook.DedupeClaimed, s.tokens
	if s.countsTokensByKey {
		c.Token = 1
		if r != nil {
			c.Token = r.token + 1
		}
	}
	s.keys[s.key(key)] = &row{token: c.Token, until: time.Now().Add(lease), done: s.marksBefore}
	err = ctx.Err()
	if err != nil && !s.keepsCutClaims && !s.claimsDespiteErrors && !s.ignoresContext {
		delete(s.keys, s.key(key))
	}
	return c, err
}

func (s *simple) Complete(_ context.Context, c alotwebhook.DedupeClaim) error {
	if err := s.check(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.keys[s.key(c.Key)]
	switch {
	case r == nil && s.completeUnfenced:
		s.keys[s.key(c.Key)] = &row{done: true}
		return nil
	case r == nil, !s.holds(r, c) && !s.completeUnfenced, r.done && s.completeOnlyOnce,
		s.lateIsLost && time.Now().After(r.until):
		return s.lost()
	}
	r.done = !s.forgetsDone
	if s.forgetsDone {
		delete(s.keys, s.key(c.Key))
	}
	return nil
}

func (s *simple) Release(_ context.Context, c alotwebhook.DedupeClaim) error {
	if err := s.check(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.keys[s.key(c.Key)]
	if r == nil || (!s.holds(r, c) || r.done) && !s.releaseUnfenced {
		return s.lost()
	}
	if !s.releaseDoesNothing {
		delete(s.keys, s.key(c.Key))
	}
	return nil
}

func (s *simple) check(c alotwebhook.DedupeClaim) error {
	if c.State != alotwebhook.DedupeClaimed && !s.settlesAnything {
		return errors.New("no claim")
	}
	return nil
}

func (s *simple) holds(r *row, c alotwebhook.DedupeClaim) bool {
	return r.token == c.Token || s.settlesAnything && c.Token == 0
}

func (s *simple) lost() error {
	if s.lostNotReported {
		return nil
	}
	return alotwebhook.ErrClaimLost
}
