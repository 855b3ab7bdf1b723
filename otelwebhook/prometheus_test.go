package otelwebhook_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// program finds a program of Debian's package prometheus.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not there (apt-get install prometheus), and CI is set: %v", name, err)
	default:
		t.Skipf("%s is not there: apt-get install prometheus", name)
	}
	return path
}

// promtool runs promtool and returns what it says.
func promtool(t testing.TB, arguments ...string) string {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), program(t, "promtool"), arguments...).CombinedOutput()
	require.NoError(t, err, "%s", said)
	return string(said)
}

// scraped serves metrics and counts how often.
type scraped struct {
	*httptest.Server
	scrapes atomic.Int64
}

// serveMetrics returns a provider whose metrics are served as hosts do it.
func serveMetrics(t testing.TB) (*sdkmetric.MeterProvider, *scraped) {
	t.Helper()
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	require.NoError(t, err)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	s := &scraped{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		s.scrapes.Add(1)
	}))
	t.Cleanup(s.Close)
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)), s
}

// server is a Prometheus of the test's own, on loopback.
type server struct {
	base  string
	ended chan error // gets a value when the process ends
}

const configuration = `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ['%s']}]
`

// startPrometheus has a Prometheus scrape a target by the rules of alerts.yaml.
func startPrometheus(t testing.TB, target string) *server {
	t.Helper()
	rules, err := filepath.Abs("alerts.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, configuration, rules, target), 0o600))
	for range 5 { // somebody else may take the port meanwhile
		if s := tryPrometheus(t, config, filepath.Join(dir, "data"), freePort(t)); s != nil {
			return s
		}
	}
	t.Fatal("no Prometheus could be started")
	return nil
}

// freePort returns a port of loopback that was free a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// tryPrometheus returns nil if the process ends before it answers.
func tryPrometheus(t testing.TB, config, data, address string) *server {
	t.Helper()
	process := exec.Command(program(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+data, "--web.listen-address="+address, "--log.level=warn")
	process.Dir = filepath.Dir(config)
	process.Stdout, process.Stderr = t.Output(), t.Output()
	require.NoError(t, process.Start())
	s := &server{base: "http://" + address, ended: make(chan error, 1)}
	go func() { s.ended <- process.Wait() }()
	t.Cleanup(func() {
		_ = process.Process.Kill()
		<-s.ended
	})
	for {
		response, err := http.Get(s.base + "/-/ready")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return s
			}
		}
		if s.hasEnded(50 * time.Millisecond) {
			return nil
		}
	}
}

// hasEnded reports whether the process has ended, after a while.
func (s *server) hasEnded(wait time.Duration) bool {
	select {
	case err := <-s.ended:
		s.ended <- err // for whoever asks next
		return true
	case <-time.After(wait):
		return false
	}
}

// answer is a response of Prometheus's API.
type answer[T any] struct {
	Status, Error string
	Data          T
}

// get calls Prometheus's API.
func get[T any](t testing.TB, s *server, path string, query url.Values) T {
	t.Helper()
	response, err := http.Get(s.base + path + "?" + query.Encode())
	require.NoError(t, err)
	defer response.Body.Close()
	var a answer[T]
	require.NoError(t, json.NewDecoder(response.Body).Decode(&a))
	require.Equal(t, "success", a.Status, "%s: %s", query, a.Error)
	return a.Data
}

// series is a result of an instant query.
type series struct {
	Metric map[string]string
	Value  [2]any // the time, and the value as a string
}

// numbers returns how many series answer an expression with a number.
func (s *server) numbers(t testing.TB, expression string) (n int) {
	t.Helper()
	for _, one := range get[struct{ Result []series }](t, s, "/api/v1/query", url.Values{"query": {expression}}).Result {
		value, err := strconv.ParseFloat(one.Value[1].(string), 64)
		require.NoError(t, err)
		if !math.IsNaN(value) {
			n++
		}
	}
	return n
}

// mostScrapes is after how many scrapes without an answer an expression has none.
const mostScrapes = 60

// requireAnswers asks until all expressions are answered. While it waits, meanwhile is called
// about once for each scrape.
func (s *server) requireAnswers(t testing.TB, target *scraped, expressions []string, meanwhile func()) {
	t.Helper()
	open := expressions
	last := target.scrapes.Load() + mostScrapes
	for len(open) > 0 {
		require.LessOrEqual(t, target.scrapes.Load(), last, "these have no answer: %q", open)
		before := target.scrapes.Load()
		meanwhile()
		for target.scrapes.Load() == before {
			require.False(t, s.hasEnded(20*time.Millisecond), "Prometheus has ended")
		}
		var still []string
		for _, expression := range open {
			if s.numbers(t, expression) == 0 {
				still = append(still, expression)
			}
		}
		open = still
	}
}
