package dedupetest

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// rules are all of them, in the order of the contract.
var rules = []rule{
	{"OneHolder", "While a claim's lease lasts, nobody else gets the key, and is told how long it lasts.", func(t *trial) {
		t.claimed(someKey, long)
		for range 3 {
			c := t.claim(someKey, long)
			t.require(alotwebhook.DedupeInProgress, c, "somebody has it")
			require.Positive(t, c.Wait)
			require.LessOrEqual(t, c.Wait, long)
		}
	}},
	{"OneOfMany", "Of many claims of one key at once, exactly one gets it.", func(t *trial) {
		require.Equal(t, map[alotwebhook.DedupeState]int{
			alotwebhook.DedupeClaimed: 1, alotwebhook.DedupeInProgress: crowd - 1,
		}, t.rush(someKey, long))
	}},
	{"KeysAreApart", "Keys that differ at all are different: up to 255 bytes of UTF-8.", func(t *trial) {
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
	{"DoneStaysDone", "A completed key is done, also once the lease would have run out.", func(t *trial) {
		t.complete(t.claimed(someKey, brief))
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "at once")
		time.Sleep(2 * brief) // a lease must have run out, and nothing tells when it has
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "after the lease")
	}},
	{"CompleteTwice", "Completing the same claim again changes nothing and is no error.", func(t *trial) {
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
	{"OneOfManyAfterACrash", "Of many claims at once after a lease ran out, exactly one gets the key.", func(t *trial) {
		t.claimed(someKey, brief)
		patience := t.patience()
		for deadline := time.Now().Add(patience); ; {
			states := t.rush(someKey, long)
			if states[alotwebhook.DedupeClaimed] > 0 {
				require.Equal(t, 1, states[alotwebhook.DedupeClaimed])
				return
			}
			require.True(t, time.Now().Before(deadline), "waited %v in vain for a lease of %v to run out", patience, brief)
			time.Sleep(5 * time.Millisecond) // between two polls
		}
	}},
	{"LateButFirst", "A lease that has run out hinders nobody from completing, unless another claim has replaced it.", func(t *trial) {
		c := t.claimed(someKey, brief)
		time.Sleep(2 * brief) // the lease must have run out, and to ask by a claim would replace it
		t.complete(c)
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "completed, if late")
	}},
	{"LostCannotComplete", "Complete is fenced: a claim that was replaced completes nothing and is told so.", func(t *trial) {
		old, next := t.replaced(someKey)
		require.ErrorIs(t, t.deduper.Complete(t.Context(), old), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeInProgress, t.claim(someKey, long), "the second is at work")
		t.release(next)
		t.require(alotwebhook.DedupeClaimed, t.claim(someKey, long), "and gave it back")
	}},
	{"LostCannotRelease", "Release is fenced: a claim that was replaced gives nothing back and is told so.", func(t *trial) {
		old, next := t.replaced(someKey)
		require.ErrorIs(t, t.deduper.Release(t.Context(), old), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeInProgress, t.claim(someKey, long), "the second is at work")
		t.complete(next)
		require.ErrorIs(t, t.deduper.Release(t.Context(), old), alotwebhook.ErrClaimLost)
		require.ErrorIs(t, t.deduper.Complete(t.Context(), old), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeDone, t.claim(someKey, long), "by the second")
	}},
	{"TokensAreNew", "A token is of one claim, also where the key was released in between.", func(t *trial) {
		old := t.claimed(someKey, long)
		t.release(old)
		next := t.claimed(someKey, long)
		require.NotEqual(t, old.Token, next.Token)
		require.ErrorIs(t, t.deduper.Complete(t.Context(), old), alotwebhook.ErrClaimLost)
		t.require(alotwebhook.DedupeInProgress, t.claim(someKey, long), "the second is at work")
	}},
	{"SettledIsSettled", "A claim that was completed or released before can be neither released nor, once released, completed.", func(t *trial) {
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
	{"OnlyClaimsSettle", "What is no claim, or was refused, settles nothing and is an error.", func(t *trial) {
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
	{"AnErrorClaimsNothing", "A claim whose context has ended is an error, and leaves the key free.", func(t *trial) {
		_, err := t.deduper.Claim(ended(), someKey, long)
		require.Error(t, err)
		t.claimed(someKey, long)
	}},
	{"EachOnce", "Many at work on many keys handle each once.", func(t *trial) {
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
