package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// ailing is a store that several processes seem to share, and that a test makes ill.
type ailing struct {
	shared
	late                     atomic.Int64 // how much longer what is due has been due than it has, in nanoseconds
	noClaims, noOutcomes, no atomic.Bool  // what fails: claims, outcomes, everything that an overview reads
	hangs                    atomic.Bool  // claims wait until it is false, whatever their context says
}

var errDisk = errors.New("no space left on device")

func failing(b *atomic.Bool) error {
	if b.Load() {
		return errDisk
	}
	return nil
}

func (s *ailing) Claim(ctx context.Context, r alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	for s.hangs.Load() {
		time.Sleep(10 * time.Millisecond)
	}
	if err := failing(&s.noClaims); err != nil {
		return alotwebhook.ClaimResult{}, err
	}
	return s.shared.Claim(ctx, r)
}

func (s *ailing) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	if err := failing(&s.noOutcomes); err != nil {
		return nil, err
	}
	return s.shared.Finish(ctx, outcomes)
}

func (s *ailing) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	stats, err := s.shared.Stats(ctx)
	if stats.OldestDue > 0 {
		stats.OldestDue += time.Duration(s.late.Load())
	}
	return stats, errors.Join(err, failing(&s.no))
}

func (s *ailing) Backlogs(ctx context.Context, limit int) ([]alotwebhook.Backlog, error) {
	list, err := s.shared.Backlogs(ctx, limit)
	for i := range list {
		if list[i].OldestDue > 0 {
			list[i].OldestDue += time.Duration(s.late.Load())
		}
	}
	return list, err
}

// onCall is whoever looks at the operators' pages after an alert.
type onCall struct {
	*tab
	host  *host
	store *ailing
}

// newOnCall opens the pages of a host that has been well for a day.
func newOnCall(t testing.TB) *onCall {
	t.Helper()
	store := &ailing{shared: shared{Store: memory.New()}}
	store.processes = []alotwebhook.Process{
		{ID: "web-7f9c4b-1", Seen: 400 * time.Millisecond, Left: 30 * time.Second, Share: 0.5},
		{ID: "web-7f9c4b-2", Seen: 900 * time.Millisecond, Left: 29 * time.Second, Share: 0.5},
	}
	o := &onCall{host: newOperatorsOn(t, store), store: store}
	e := o.host.endpointOf(t, "org_acme", "https://hooks.acme.test/alot")
	seedDay(t, store.Store, e.ID)
	o.tab = open(t, o.host.base, true)
	return o
}

// shows requires that the page shows the words, to everybody, and keeps a picture of its upper part.
func (o *onCall) shows(name string, height int64, words ...string) {
	o.t.Helper()
	o.sees(words...)
	o.requireAccessible(name)
	o.size(390)
	o.requireFits(name)
	o.size(1280)
	o.sees(words...)
	o.topPicture("alert-"+name, height)
}

// alerts brings a host into the state of each alert, and looks at what the operators' pages say of it.
var alerts = map[string]func(*onCall){
	"DeliveriesLate": func(o *onCall) {
		o.host.emitTo(o.t, "org_acme", 40)
		o.store.late.Store(int64(3*time.Minute + 12*time.Second))
		o.visit("")
		o.shows("deliveries-late", 800, "Needs attention", "Deliveries are late: one to a healthy endpoint has been due for 3 min")
		o.click(".alerts a[href*=pending]")
		o.sees("Pending", "org_acme", "hooks.acme.test")
	},
	"NothingRecorded": func(o *onCall) {
		o.host.emitTo(o.t, "org_acme", 40)
		o.store.late.Store(int64(6 * time.Minute))
		for i := range o.store.processes {
			o.store.processes[i].Seen, o.store.processes[i].Left = 6*time.Minute, -5*time.Minute
		}
		o.visit("")
		o.shows("nothing-recorded", 860, "Deliveries are late", "No process delivers. Nothing is sent until one does", "A process is gone", "Gone web-7f9c4b-1", "Gone web-7f9c4b-2")
	},
	"StoreFailing": func(o *onCall) {
		o.host.runs(o.t)
		o.t.Cleanup(func() { o.store.noOutcomes.Store(false) }) // so that it ends
		service := newReceiver(o.t)
		service.set(func(r *receiver) { r.any = true })
		o.host.endpointOf(o.t, "org_northwind", service.url)
		o.store.noOutcomes.Store(true)
		o.host.emitTo(o.t, "org_northwind", 20) // one outcome that is not stored may be at fault itself
		o.visit("")
		o.shows("store-failing", 660, "The store takes no outcomes. Hardly anything is sent until it does")
		o.store.noOutcomes.Store(false)
		o.store.noClaims.Store(true)
		o.sees("The newest claim of this process failed. It sends nothing new until one succeeds")
		o.expected = []string{"status of 500"}
		o.store.no.Store(true)
		for o.visit(""); !strings.Contains(o.text(), "Something failed on our side"); o.visit("") {
			time.Sleep(time.Second) // a survey is read every five seconds
		}
	},
	"ProxyFailing": func(o *onCall) {
		closed, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(o.t, err)
		require.NoError(o.t, closed.Close())
		o.host = newOperatorsOn(o.t, o.store, func(cfg *alotwebhook.Config) {
			cfg.Proxy = &alotwebhook.Proxy{URL: &url.URL{Scheme: "http", Host: closed.Addr().String()}, Resolves: true}
		})
		o.tab = open(o.t, o.host.base, true)
		o.host.runs(o.t)
		o.host.emitTo(o.t, "org_acme", 40)
		o.visit("")
		o.shows("proxy-failing", 460, "The proxy fails. Our proxy does not answer. Deliveries wait for it, and none is lost")
	},
	"ManyEndpointsFailing": func(o *onCall) {
		var tallies []alotwebhook.Tally
		for i := range 12 {
			organization := fmt.Sprintf("org_customer_%02d", i+1)
			e := o.host.endpointOf(o.t, organization, fmt.Sprintf("https://hooks.customer-%02d.test/alot", i+1))
			o.host.emitTo(o.t, organization, 2)
			tallies = append(tallies, alotwebhook.Tally{EndpointID: e.ID, Hour: time.Now().UTC().Truncate(time.Hour), Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonDNS: 1800}})
		}
		o.host.finishAll(o.t, alotwebhook.StatePending, alotwebhook.Attempt{Reason: alotwebhook.ReasonDNS, Detail: "no such host", Duration: 4 * time.Millisecond})
		require.NoError(o.t, o.store.AddTallies(o.t.Context(), tallies))
		o.visit("")
		o.shows("many-endpoints-failing", 800, "12 endpoints fail: not one attempt succeeds", "21\u202f600", "Host not found", "All 12 failing endpoints")
		o.click(".alerts a[href*=failing]")
		o.sees("hooks.customer-12.test", "org_customer_01")
	},
	"OrganizationFlooding": func(o *onCall) {
		o.host.emitTo(o.t, "org_acme", 12)
		o.host.endpointOf(o.t, "org_flood", "https://hooks.flood.test/alot")
		o.host.emitTo(o.t, "org_flood", 1500)
		o.visit("")
		o.shows("organization-flooding", 900, "Most of the backlog is org_flood's: 1\u202f500 of 1\u202f512 pending deliveries")
		o.click(".alerts a.org")
		o.sees("These are the pages of org_flood", "hooks.flood.test")
	},
	"RecoveryStuck": func(o *onCall) {
		ctx := alotwebhook.WithActor(o.t.Context(), "bob@example.com")
		r, err := o.host.dispatcher.RecoverMany(ctx, alotwebhook.Recovery{FailedSince: time.Now().Add(-time.Hour), Note: "Our DNS was down until 10:40"})
		require.NoError(o.t, err)
		r.CreatedAt, r.UpdatedAt, r.Recovered = time.Now().Add(-15*time.Minute), time.Now().Add(-12*time.Minute), 18_000
		require.NoError(o.t, o.store.PutRecovery(o.t.Context(), r))
		o.visit("")
		o.sees("A recovery is stuck: it has not gone on for 12 min")
		o.click(".alerts a[href*=recoveries]")
		o.shows("recovery-stuck", 660, "Has not gone on for 12 min", "18\u202f000 deliveries sent again", "Our DNS was down until 10:40", "bob@example.com", "Stop")
	},
	"PausedForLong": func(o *onCall) {
		pause := alotwebhook.Pause{OrganizationID: "org_acme", Actor: "bob@example.com", Note: "Their service moves", At: time.Now().Add(-6*time.Hour - 20*time.Minute)}
		require.NoError(o.t, o.store.PutPause(o.t.Context(), pause))
		o.visit("")
		o.shows("paused-for-long", 460, "org_acme is paused since", "by bob@example.com: Their service moves", "It has lasted for 6 h 20 min")
		o.click(".alerts a[href*=resume]")
		o.sees("Resume deliveries", "What is due is sent at once", "Why you do it")
	},
	"ClaimerStuck": func(o *onCall) {
		o.store.hangs.Store(true)
		o.host.runs(o.t)
		o.t.Cleanup(func() { o.store.hangs.Store(false) }) // so that it ends
		o.visit("")
		o.shows("claimer-stuck", 460, "The claimer of this process is stuck. It has been in one step for", "then restart the process") // after half a minute
	},
}

var (
	alertName    = regexp.MustCompile(`(?m)^ +- alert: Alotwebhook(\w+)$`)
	alertPicture = regexp.MustCompile(`!\[[^\]]{20,}\]\(operating/(alert-[a-z-]+)\.png\)`)
)

// What whoever is on call sees of each alert. The pictures are those of docs/operating.md, which this
// makes anew, from the folder of this file:
//
//	ALOT_TEST_ARTIFACTS=/tmp/alerts go test -count=1 -run TestEachAlertIsSeen . && cp /tmp/alerts/pages/alert-*.png ../../docs/operating/
func TestEachAlertIsSeen(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile("../../otelwebhook/alerts.yaml")
	require.NoError(t, err)
	found := alertName.FindAllStringSubmatch(string(rules), -1)
	require.Len(t, alerts, len(found))
	for _, name := range found {
		see := alerts[name[1]]
		require.NotNil(t, see, name[1])
		t.Run(name[1], func(t *testing.T) {
			t.Parallel()
			see(newOnCall(t))
		})
	}
}

// The documentation shows a picture of each alert, described in words, and none is larger than 150 kB.
func TestThePicturesOfAlertsAreShown(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	shown := map[string]bool{}
	for _, picture := range alertPicture.FindAllStringSubmatch(string(text), -1) {
		shown[picture[1]+".png"] = true
	}
	pictures, err := os.ReadDir("../../docs/operating")
	require.NoError(t, err)
	require.Len(t, pictures, len(alerts))
	for _, picture := range pictures {
		require.True(t, shown[picture.Name()], "docs/operating.md does not show %s", picture.Name())
		info, err := picture.Info()
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(150_000), picture.Name())
		data, err := os.ReadFile("../../docs/operating/" + picture.Name())
		require.NoError(t, err)
		require.Equal(t, "image/png", http.DetectContentType(data), picture.Name())
	}
}
