package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// monolith starts examples/monolith with a day of history. It returns its address, and
// the address that signs a visitor in. Pending deliveries stay pending: they are tried
// again after a day, in vain.
func monolith(t testing.TB) (address, login string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "monolith")
	build := exec.Command("go", "build", "-o", program, "./monolith")
	build.Dir = filepath.Join("..", "..", "examples")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	cmd := exec.Command(program, "-dev", "-addr", "127.0.0.1:0", "-retries", "24h,24h,24h,24h,24h")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		require.NoError(t, cmd.Wait())
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if _, found, ok := strings.Cut(lines.Text(), "listening on "); ok {
			address = found
		}
		if _, found, ok := strings.Cut(lines.Text(), "look at "); ok {
			return address, found
		}
	}
	require.Fail(t, "it did not say where it listens")
	return "", ""
}

// scene is a page to make pictures of, with the steps that lead to it.
type scene struct {
	name string
	show func(*tab)
}

func at(path string) func(*tab) { return func(b *tab) { b.visit(path) } }

// linked opens the page that a link of another page leads to.
func linked(path, selector string) func(*tab) {
	return func(b *tab) {
		b.do(chromedp.Navigate(b.link(path, "document.querySelector(`"+selector+"`)")))
	}
}

// link returns where a link leads that an expression finds on a page. It loads the page again
// until the link is there: the attempts that it tells of may not have been made yet.
func (b *tab) link(path, find string) (href string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); href == "" && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		b.visit(path)
		href = b.value("(" + find + ")?.href ?? ''")
	}
	require.NotEmpty(b.t, href, "%s has no link %s", path, find)
	return href
}

// endpointNamed opens a page of the endpoint whose URL contains the end. below is the
// rest of the page's path.
func endpointNamed(b *tab, end, below string) {
	href := b.link("", `[...document.querySelectorAll(".lead a")].find((a) => a.textContent.includes("`+end+`"))`)
	b.do(chromedp.Navigate(href + below))
}

func named(end, below string) func(*tab) { return func(b *tab) { endpointNamed(b, end, below) } }

var scenes = []scene{
	{"endpoints", at("")},
	{"endpoint-failing", named("crm", "")},
	{"endpoint-well", named("analytics", "")},
	{"endpoint-disabled", named("partner.test", "")},
	{"event-types", at("event-types")},
	{"new", at("new")},
	{"edit", named("partner.test", "/edit")},
	{"rotate", named("ats", "/rotate")},
	{"delete", named("staging", "/delete")},
	{"history", at("history")},
	{"history-empty", at("history?status=parked&type=candidate.completed&live=off")},
	{"history-refused", at("history?event=sess_123&since=2026-02-01T00:00&until=2026-01-01T00:00")},
	{"history-no-event", at("history?event=evt_01jcc7zzzzf0m8n2p4q6r7s9tv&live=off")},
	{"delivery-delivered", linked("history?status=delivered", ".lead a")},
	{"delivery-failed", linked("history?status=failed", ".lead a")},
	{"delivery-pending", linked("history?status=pending", ".lead a")},
	{"delivery-parked", linked("history?status=parked", ".lead a")},
	{"form-refused", func(b *tab) {
		b.visit("new")
		b.fill("#field-url", "http://user@localhost/x")
		b.click("form button.primary")
		b.sees("Nothing was saved yet")
	}},
	{"secret", func(b *tab) {
		b.visit("new")
		b.fill("#field-url", "https://new.example.test/alot")
		b.click(`input[value="candidate.invited"]`)
		b.click("form button.primary")
		b.sees("Endpoint added")
	}},
	{"missing", at("nothing")},
	{"recovering", func(b *tab) {
		endpointNamed(b, "crm", "")
		b.click(`form[action$="/recover"] button`)
		b.sees("Recovery started")
	}},
	{"no-endpoints", func(b *tab) {
		b.do(chromedp.Navigate(strings.TrimSuffix(b.base, "settings/webhooks/") + "dev/login?organization=org_empty"))
		b.sees("No endpoints yet")
	}},
}

// The test opens every page in both themes, in the widths of a desktop and of a phone. It
// checks each with axe-core, and keeps a picture of it for people to look at.
func TestEveryPageIsFitToBeSeen(t *testing.T) {
	t.Parallel()
	if _, err := findChromium(); err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no chromium")
	}
	address, login := monolith(t)
	b := open(t, address+"/settings/webhooks/", true)
	b.expected = []string{"status of 400", "status of 404", "status of 422"} // the pages that show an error
	b.do(chromedp.Navigate(login))
	for _, s := range scenes {
		b.size(1280)
		s.show(b)
		b.requireFitToBeSeen(s.name)
	}
}

// requireFitToBeSeen checks the page of the tab in both themes and in several widths, and keeps
// pictures of it.
func (b *tab) requireFitToBeSeen(page string) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		for _, width := range []int64{1280, 390} {
			name := pictureName(page, width, theme)
			b.size(width)
			b.picture(name)
			b.requireFits(name)
			b.requireAccessible(name)
		}
	}
	for _, width := range []int64{1001, 800, 360} {
		b.size(width)
		b.requireFits(fmt.Sprintf("%s at %d", page, width))
	}
}

// What an endpoint with a limit and an order shows: its form, refused and filled in, its page,
// and a delivery that waits for another.
func TestThePagesOfAnOrderedEndpointAreFitToBeSeen(t *testing.T) {
	t.Parallel()
	h := newIdleHost(t)
	b := open(t, h.base, true)
	b.expected = []string{"status of 422"}
	b.visit("new")
	b.fill("#field-url", "https://hooks.example.com/alot")
	b.fill("#field-rate", "10,000")
	b.click(`input[name="ordered"]`)
	b.click("form button.primary")
	b.sees("Nothing was saved yet", "The limit must be a number from 0.01 to 10000")
	b.requireFitToBeSeen("form-limit-refused")
	b.fill("#field-rate", "0.5")
	b.click("form button.primary")
	b.sees("Endpoint added")
	b.size(1280)
	b.visit("")
	b.click(".lead a")
	b.sees("0.5 requests a second", "Events one at a time, in order")
	b.requireFitToBeSeen("endpoint-ordered")
	b.visit(b.path() + "/edit")
	b.requireFitToBeSeen("edit-ordered")
	h.emit(t)
	h.emit(t)
	h.failFirst(t)
	b.visit("history")
	b.sees("waits for its turn")
	b.requireFitToBeSeen("history-ordered")
	b.click(`tr:has([data-label="State"] .under) .lead a`)
	b.requireFitToBeSeen("delivery-ordered")
}

// Without script, the pages show everything, and offer nothing that needs script.
func TestPagesAreWholeWithoutScript(t *testing.T) {
	t.Parallel()
	if _, err := findChromium(); err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no chromium")
	}
	address, login := monolith(t)
	b := open(t, address+"/settings/webhooks/", false)
	b.do(chromedp.Navigate(login))
	b.visit("history")
	b.sees("Refresh", "Older deliveries", " UTC")
	require.NotContains(t, b.text(), "Stop updating")
	require.NotContains(t, b.text(), "Copy")
	b.picture("history-without-script")
	b.click("#older")
	b.sees("Back to the newest")
}
