package otelwebhook_test

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// alert is a rule of alerts.yaml.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t testing.TB) []alert {
	t.Helper()
	text, err := os.ReadFile("alerts.yaml")
	require.NoError(t, err)
	var file struct{ Groups []struct{ Rules []alert } }
	require.NoError(t, yaml.Unmarshal(text, &file))
	require.Len(t, file.Groups, 1)
	return file.Groups[0].Rules
}

// panel is a panel of grafana.json, or a row of panels.
type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ Type, UID string }
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct {
		RefID, Expr string
		Datasource  struct{ UID string }
	}
}

func panels(t testing.TB) []panel {
	t.Helper()
	text, err := os.ReadFile("grafana.json")
	require.NoError(t, err)
	var dashboard struct{ Panels []panel }
	require.NoError(t, json.Unmarshal(text, &dashboard))
	return dashboard.Panels
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	var rows []string
	ids := map[int]bool{}
	for _, p := range panels(t) {
		require.False(t, ids[p.ID], "two panels have the id %d", p.ID)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		require.NotEmpty(t, p.Title)
		require.NotEmpty(t, p.Description, p.Title)
		require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			require.Contains(t, target.Expr, `{job=~"$job"`, "%s: the choice of a job does nothing", p.Title)
		}
	}
	require.Equal(t, []string{"Is it late?", "Is it failing?", "Who is slow?", "The store", "The process"}, rows)
}

// TestPanelsDoNotOverlap: Grafana would move them.
func TestPanelsDoNotOverlap(t *testing.T) {
	t.Parallel()
	all := panels(t)
	for i, a := range all {
		for _, b := range all[:i] {
			apart := a.GridPos.X+a.GridPos.W <= b.GridPos.X || b.GridPos.X+b.GridPos.W <= a.GridPos.X ||
				a.GridPos.Y+a.GridPos.H <= b.GridPos.Y || b.GridPos.Y+b.GridPos.H <= a.GridPos.Y
			require.True(t, apart, "%q and %q", a.Title, b.Title)
		}
	}
}

// TestRunbooks: each alert leads to a page that is there.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	headings := anchors(t, "../docs/operating.md")
	var names []string
	for _, a := range alerts(t) {
		names = append(names, strings.TrimPrefix(a.Alert, "Alotwebhook"))
		require.NotEmpty(t, a.For, a.Alert)
		require.NotEmpty(t, a.Annotations["summary"], a.Alert)
		require.NotEmpty(t, a.Annotations["description"], a.Alert)
		require.Contains(t, []string{"critical", "warning"}, a.Labels["severity"], a.Alert)
		page, err := url.Parse(a.Annotations["runbook_url"])
		require.NoError(t, err)
		require.Equal(t, "/alot/alotwebhook/blob/main/docs/operating.md", page.Path, a.Alert)
		require.Contains(t, headings, page.Fragment, a.Alert)
	}
	require.Equal(t, []string{
		"DeliveriesLate", "NothingRecorded", "StoreFailing", "ProxyFailing", "ManyEndpointsFailing", "OrganizationFlooding", "RecoveryStuck", "PausedForLong", "ClaimerStuck",
	}, names)
}

var (
	heading     = regexp.MustCompile(`(?m)^#{2,6} (.+)$`)
	punctuation = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are those that GitHub gives the headings of a document.
func anchors(t testing.TB, file string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
		found = append(found, strings.ReplaceAll(punctuation.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return found
}

// TestAlerts: promtool reads the rules, and finds that each fires when it should and not
// otherwise.
func TestAlerts(t *testing.T) {
	t.Parallel()
	require.Contains(t, promtool(t, "check", "rules", "alerts.yaml"), "9 rules found")
	promtool(t, "test", "rules", "alerts_test.yaml")
	tests, err := os.ReadFile("alerts_test.yaml")
	require.NoError(t, err)
	for _, a := range alerts(t) {
		require.Regexp(t, `alertname: `+a.Alert+`\n +exp_alerts:`, string(tests), "no test has %s fire", a.Alert)
		require.Regexp(t, `alertname: `+a.Alert+`\n +(- eval_time|# |\n)`, string(tests)+"\n\n", "no test has %s not fire", a.Alert)
	}
}

var comparison = regexp.MustCompile(` (>|<|>=|<=|==) `)

// expressions are all that the dashboard and the alerts ask. A comparison is asked for its
// result, so that it has one also where the alert would not fire.
func expressions(t testing.TB) (all []string) {
	t.Helper()
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			all = append(all, strings.NewReplacer("$job", ".*", "$__rate_interval", "1h").Replace(target.Expr))
		}
	}
	for _, a := range alerts(t) {
		all = append(all, strings.ReplaceAll(comparison.ReplaceAllString(a.Expr, " $1 bool "), "unless", "and"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestPrometheus: a Prometheus that scrapes a dispatcher answers everything that the
// dashboard and the alerts ask.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	meters, served := serveMetrics(t)
	shop := openShop(t, meters)
	prometheus := startPrometheus(t, strings.TrimPrefix(served.URL, "http://"))
	prometheus.requireAnswers(t, served, expressions(t), func() { shop.day(t) })

	type rule struct{ Name, Health, LastError string }
	rules := get[struct{ Groups []struct{ Rules []rule } }](t, prometheus, "/api/v1/rules", nil).Groups[0].Rules
	require.Len(t, rules, len(alerts(t)))
	for _, r := range rules {
		require.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
	}
}
