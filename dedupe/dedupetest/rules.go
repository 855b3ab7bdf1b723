package dedupetest

import (
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// rules are the rules of the contract, in the order of its text.
var rules = []rule{
	{"OneHolder", "While the lease of a claim lasts, no other claim of the key succeeds; it returns how long the lease still lasts.", func(t *trial) {
		t.claimed(someKey, long)
		for range 3 {
			c := t.claim(someKey, long)
			t.require(alotwebhook.DedupeInProgress, c, "somebody has it")
			require.Positive(t, c.Wait)
			require.LessOrEqual(t, c.Wait, long)
		}
	}},
	{"OneOfMany", "Of many simultaneous claims of one key, exactly one succeeds.", func(t *trial) {
		require.Equal(t, map[alotwebhook.DedupeState]int{
			alotwebhook.DedupeClaimed: 1, alotwebhook.DedupeInProgress: crowd - 1,
		}, t.rush(someKey, long))
	}},
	{"KeysAreApart", "Two keys are the same only if all their bytes are; a key has up to 255 bytes of UTF-8.", func(t *trial) {
		keys := []string{
			someKey, strings.ToUpper(someKey), someKey + " ", " " + someKey, someKey[:len(someKey)-1], "mail/" + someKey, "crm/" + someKey,
			"caf\u00e9", "cafe\u0301", "%", "_", `a'b"c\d`, strings.Repeat("k", 254), strings.Repeat("k", 255),
		}
		for i, key := range keys {
			c := t.claim(key, long)
			t.require(alotwebhook.DedupeClaimed, c, key)
			if i%2 == 0 {
				t.complete(c)
			}
		}
		for i, key := range keys {
			want := alotwebhook.DedupeInProgress
			if i%2 == 0 {
				want = alotwebhook.DedupeDone
			}
			t.require(want, t.claim(key, long), key)
		}
	}},
	{"KeysAreRefused", "A key is 1 to 255 bytes of UTF-8 without NUL: Claim returns an error for any other.", func(t *trial) {
		for _, key := range []string{"", someKey + "\x00", someKey + "\xff", strings.Repeat("k", 256), strings.Repeat("é", 128)} {
			_, err := t.deduper.Claim(t.Context(), key, long)
			require.Error(t, err, "%q is no key", key)
		}
	}},
	{"LeaseOfNothing", "Claim returns an error for a lease of zero or less, and leaves the key free.", func(t *trial) {
		for _, lease := range []time.Duration{0, -1, -time.Hour, math.MinInt64} {
			_, err := t.deduper.Claim(t.Context(), someKey, lease)
			require.Error(t, err, "a lease of %v", lease)
		}
		t.claimed(someKey, long)
	}},
	{"LeaseOfAges", "A lease lasts, no matter how long it is: the end of the longest does not lie in the past.", func(t *trial) {
		for i, lease := range []time.Duration{10 * 365 * 24 * time.Hour, math.MaxInt64 - 1, math.MaxInt64} {
			key := someKey + string(rune('a'+i))
			held := t.claimed(key, lease)
			c := t.claim(key, lease)
			t.require(alotwebhook.DedupeInProgress, c, "the lease has just begun")
			require.Greater(t, c.Wait, long)
			t.complete(held)
			t.require(alotwebhook.DedupeDone, t.claim(key, lease), "completed")
		}
	}},
	{"DoneStaysDone", "A completed key stays done, also after the time when its lease would have run out.", func(t *trial) {
		t.complete(t.claimed(someKey, brief))
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "at once")
		time.Sleep(2 * brief) // the lease must have run out, and nothing tells when it has
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "after the lease")
	}},
	{"CompleteTwice", "To complete the same claim again changes nothing and is no error.", func(t *trial) {
		c := t.claimed(someKey, long)
		t.complete(c)
		t.complete(c)
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "once is enough")
	}},
	{"ReleaseGivesBack", "A released key can be claimed at once.", func(t *trial) {
		for range 3 {
			t.release(t.claimed(someKey, long))
		}
		t.complete(t.claimed(someKey, long))
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "completed in the end")
	}},
	{"LeaseRunsOut", "After a crash, the key can be claimed again once the lease has run out.", func(t *trial) {
		old, next := t.replaced(someKey)
		require.NotEqual(t, old.Token, next.Token, "another claim has another token")
		t.complete(next)
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "completed by the second")
	}},
	{"OneOfManyAfterACrash", "Of many simultaneous claims after a lease has run out, exactly one succeeds.", func(t *trial) {
		t.claimed(someKey, brief)
		patience := t.patience()
		for deadline := time.Now().Add(patience); ; {
			states := t.rush(someKey, long)
			if states[alotwebhook.DedupeClaimed] > 0 {
				require.Equal(t, 1, states[alotwebhook.DedupeClaimed])
				return
			}
			require.True(t, time.Now().Before(deadline), "waited %v in vain for a lease of %v to run out", patience, brief)
			time.Sleep(5 * time.Millisecond) // nothing tells when a lease has run out, so this polls
		}
	}},
	{"LateButFirst", "A claim whose lease has run out can still be completed, unless another claim has replaced it.", func(t *trial) {
		c := t.claimed(someKey, brief)
		time.Sleep(2 * brief) // the lease must have run out, and another claim, to find out, would replace this one
		t.complete(c)
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "it was completed, though late")
	}},
	{"LostCannotComplete", "Complete is fenced: it changes nothing for a claim that another has replaced, and returns ErrClaimLost.", func(t *trial) {
		old, next := t.replaced(someKey)
		require.ErrorIs(t, t.deduper.Complete(t.Context(), old), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeInProgress, t.claim(someKey, long), "the second is at work")
		t.release(next)
		t.require(alotwebhook.DedupeClaimed, t.claim(someKey, long), "and gave it back")
	}},
	{"LostCannotRelease", "Release is fenced: it changes nothing for a claim that another has replaced, and returns ErrClaimLost.", func(t *trial) {
		old, next := t.replaced(someKey)
		require.ErrorIs(t, t.deduper.Release(t.Context(), old), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeInProgress, t.claim(someKey, long), "the second is at work")
		t.complete(next)
		require.ErrorIs(t, t.deduper.Release(t.Context(), old), alotwebhook.ErrClaimLost)
		require.ErrorIs(t, t.deduper.Complete(t.Context(), old), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "by the second")
	}},
	{"TokensAreNew", "A token belongs to one claim alone, also if the key was released in between.", func(t *trial) {
		old := t.claimed(someKey, long)
		t.release(old)
		next := t.claimed(someKey, long)
		require.NotEqual(t, old.Token, next.Token)
		require.ErrorIs(t, t.deduper.Complete(t.Context(), old), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeInProgress, t.claim(someKey, long), "the second is at work")
	}},
	{"SettledIsSettled", "A completed claim cannot be released; a released claim can be neither released again nor completed.", func(t *trial) {
		c := t.claimed(someKey, long)
		t.complete(c)
		require.ErrorIs(t, t.deduper.Release(t.Context(), c), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "still")

		c = t.claimed("another", long)
		t.release(c)
		require.ErrorIs(t, t.deduper.Release(t.Context(), c), alotwebhook.ErrClaimLost)
		require.ErrorIs(t, t.deduper.Complete(t.Context(), c), alotwebhook.ErrClaimLost)
		t.claimed("another", long)
	}},
	{"OnlyClaimsSettle", "Complete and Release return an error for a claim that did not succeed, and change nothing.", func(t *trial) {
		holder := t.claimed(someKey, long)
		for _, c := range []alotwebhook.DedupeClaim{{}, t.claim(someKey, long), {Key: "another"}} {
			require.Error(t, t.deduper.Complete(t.Context(), c))
			require.Error(t, t.deduper.Release(t.Context(), c))
		}
		t.require(alotwebhook.DedupeInProgress, t.claim(someKey, long), "still")
		t.complete(holder)
		require.Error(t, t.deduper.Release(t.Context(), t.claim(someKey, long)))
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "still")
	}},
	{"AnErrorClaimsNothing", "With a context that has ended, Claim returns an error and leaves the key free.", func(t *trial) {
		_, err := t.deduper.Claim(ended(), someKey, long)
		require.Error(t, err)
		t.claimed(someKey, long)
	}},
	{"ACutClaimIsFree", "If the context ends while Claim is at work, and Claim returns an error, the key is free.", func(t *trial) {
		for looks := range int64(30) { // one of them is behind the last time that Claim looks at its context
			key := someKey + string(rune('a'+looks))
			ctx := endsAfter(looks)
			c, err := t.deduper.Claim(ctx, key, long)
			if err == nil {
				t.require(alotwebhook.DedupeClaimed, c, "the key was free")
				t.release(c)
			}
			t.require(alotwebhook.DedupeClaimed, t.claim(key, long), "nobody has it")
		}
	}},
	{"EachOnce", "If many goroutines claim the same keys, each key is handled once.", func(t *trial) {
		var handled [20]atomic.Int64
		t.crowd(func(int) {
			for i := range handled {
				key := someKey + string(rune('a'+i))
				c, err := t.deduper.Claim(t.Context(), key, long)
				if err == nil && c.State == alotwebhook.DedupeClaimed {
					handled[i].Add(1)
					err = t.deduper.Complete(t.Context(), c)
				}
				if err != nil {
					t.Errorf("%s: %v", key, err)
				}
			}
		})
		for i := range handled {
			require.EqualValues(t, 1, handled[i].Load())
			t.require(alotwebhook.DedupeDone, t.claim(someKey+string(rune('a'+i)), long), "handled")
		}
	}},
}
