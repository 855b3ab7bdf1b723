// Package e2e tests the pages Settings → Webhooks in Chromium, with script and without.
// It keeps pictures of the pages in the artefacts of the tests.
package e2e

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// patience bounds every wait. It is a last resort for what will never come, and
// no measure of how fast anything is.
const patience = 10 * time.Minute

//go:embed testdata/axe.min.js
var axe string

// chromium starts the browser that all tests share. Each tab has a profile of its own.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path, err := findChromium()
	if err != nil {
		return nil, err
	}
	allocator, _ := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // Chromium has no sandbox for root
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)...)
	browser, _ := chromedp.NewContext(allocator)
	return browser, chromedp.Do(browser)
})

func findChromium() (path string, err error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if _, err := findChromium(); err == nil {
		if browser, err := chromium(); err == nil {
			_ = chromedp.Cancel(browser)
		}
	}
	os.Exit(code)
}

// tab is a tab of the browser.
type tab struct {
	t      testing.TB
	ctx    context.Context
	base   string // URL of the pages, with a slash at the end
	script bool
	// expected are parts of the messages that the console may have.
	expected []string

	mu      sync.Mutex
	console []string
}

// open opens a tab. A warning or an error in its console fails the test.
func open(t testing.TB, base string, script bool) *tab {
	t.Helper()
	if _, err := findChromium(); err != nil {
		if os.Getenv("CI") != "" {
			require.NoError(t, err, "install chromium")
		}
		t.Skip("there is no chromium")
	}
	browser, err := chromium()
	require.NoError(t, err)
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx)) // the tab lives as long as the context of its first steps
	b := &tab{t: t, ctx: ctx, base: base, script: script}
	b.do(chromedp.EmulateViewport(1280, 900))
	messages := chromedp.Console(ctx)
	go b.listen(messages)
	if !script {
		b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			return err
		}))
	}
	t.Cleanup(b.requireQuiet)
	return b
}

func (b *tab) listen(messages func(func(chromedp.ConsoleMessage, error) bool)) {
	for m, err := range messages {
		if err != nil {
			return
		}
		if m.Type == chromedp.ConsoleDebug || m.Type == chromedp.ConsoleInfo {
			continue
		}
		b.mu.Lock()
		b.console = append(b.console, m.String())
		b.mu.Unlock()
	}
}

func (b *tab) requireQuiet() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, message := range b.console {
		expected := slices.ContainsFunc(b.expected, func(part string) bool { return strings.Contains(message, part) })
		require.True(b.t, expected, message)
	}
}

// do does the steps, which may be done again: the page may replace an element between the
// moment when a step finds it and the moment when it uses it, or be on its way to another
// page.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, steps...)
	for err != nil && (strings.Contains(err.Error(), "Could not find node") || strings.Contains(err.Error(), "net::ERR_ABORTED")) {
		err = chromedp.Do(ctx, steps...)
	}
	require.NoError(b.t, err)
}

func run[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, a)
	require.NoError(b.t, err)
	return value
}

// visit opens a page by its path below the mount.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.do(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// choose selects an option by typing its text, as a person does.
func (b *tab) choose(selector, text string) {
	b.t.Helper()
	b.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// text returns the text that the page shows once all of it is there.
func (b *tab) text() string {
	return b.becomes(`document.readyState === "complete" ? document.body.innerText : ""`, func(text string) bool { return text != "" })
}

// value is that of an expression now, and nothing between two pages.
func (b *tab) value(expression string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		require.NoError(b.t, ctx.Err(), expression)
		return ""
	}
	return value
}

// becomes waits until an expression has a value that is wanted. It looks from
// outside: a page that nobody sees draws no frames in which to look.
func (b *tab) becomes(expression string, wanted func(value string) bool) (value string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if value = b.value(expression); wanted(value) {
			return value
		}
	}
	require.Fail(b.t, "it did not become what is wanted", "%s is %q on %s", expression, value, run(b, chromedp.Location()))
	return ""
}

// sees waits until the page shows all of the words.
func (b *tab) sees(words ...string) {
	b.t.Helper()
	b.waits(false, words...)
}

// comes waits until the page shows all of the words. Without script, it loads the page
// again until then.
func (b *tab) comes(words ...string) {
	b.t.Helper()
	b.waits(!b.script, words...)
}

// waits is comes, which loads the page again only if reload is set. It looks from outside, as
// becomes does.
func (b *tab) waits(reload bool, words ...string) {
	b.t.Helper()
	text := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		text = b.text()
		if missing(text, words) == "" {
			return
		}
		if reload {
			b.do(chromedp.Reload())
		}
	}
	require.Empty(b.t, missing(text, words), "missing on %s:\n%s", run(b, chromedp.Location()), text)
}

func missing(text string, words []string) string {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return word
		}
	}
	return ""
}

// path returns the path and query of the tab's address, below the mount.
func (b *tab) path() string {
	b.t.Helper()
	path, found := strings.CutPrefix(run(b, chromedp.Location()), b.base)
	require.True(b.t, found, run(b, chromedp.Location()))
	return path
}

// at waits until the address of the tab, below the mount, is as wanted. The address can
// change later than the text.
func (b *tab) at(wanted func(path string) bool, message ...any) {
	b.t.Helper()
	address := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		address = run(b, chromedp.Location())
		if path, found := strings.CutPrefix(address, b.base); found && wanted(path) {
			return
		}
	}
	require.Fail(b.t, "the tab is elsewhere: "+address, message...)
}

func is(want string) func(string) bool { return func(path string) bool { return path == want } }

// theme makes the browser prefer a theme, "light" or "dark".
func (b *tab) theme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	}))
}

// zone sets the time zone of the browser.
func (b *tab) zone(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: name})
		return err
	}))
}

// size sets the width of the tab, in CSS pixels.
func (b *tab) size(width int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
}

// requireAccessible checks the page by all rules of axe-core.
func (b *tab) requireAccessible(what string) {
	b.t.Helper()
	run(b, chromedp.Evaluate[bool](axe+"; true"))
	found := run(b, chromedp.Evaluate[string](`axe.run(document, {resultTypes: ["violations"]}).then((r) =>
		JSON.stringify(r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html + " (" + n.failureSummary + ")").join("; "))))`,
		chromedp.EvalAwaitPromise))
	var violations []string
	require.NoError(b.t, json.Unmarshal([]byte(found), &violations))
	require.Empty(b.t, violations, what)
}

// requireFits fails if the page is wider than the tab.
func (b *tab) requireFits(what string) {
	b.t.Helper()
	wide := run(b, chromedp.Evaluate[string](`[document.documentElement.scrollWidth, document.documentElement.clientWidth].join(" of ")`))
	require.True(b.t, run(b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth <= document.documentElement.clientWidth`)), "%s: %s", what, wide)
}

// picture keeps a picture of the whole page, if pictures are kept.
func (b *tab) picture(name string) {
	b.t.Helper()
	if keepsPictures() {
		b.keep(name, run(b, chromedp.FullScreenshot(100)))
	}
}

// topPicture keeps a picture of the upper part of the page, of a height in CSS pixels, if pictures are
// kept.
func (b *tab) topPicture(name string, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(1280, height))
	if keepsPictures() {
		b.keep(name, run(b, chromedp.CaptureScreenshot()))
	}
}

// keepsPictures says whether anybody will look at them: they are a fifth of the work.
func keepsPictures() bool {
	return os.Getenv("ALOT_TEST_ARTIFACTS") != "" || flag.Lookup("test.artifacts").Value.String() == "true"
}

func (b *tab) keep(name string, picture []byte) {
	b.t.Helper()
	require.NoError(b.t, os.WriteFile(filepath.Join(artifacts(b.t), name+".png"), picture, 0o600))
}

// artifacts returns the folder of the pictures: one in ALOT_TEST_ARTIFACTS if that is
// set, and otherwise that of the test.
func artifacts(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("ALOT_TEST_ARTIFACTS")
	if dir == "" {
		return t.ArtifactDir()
	}
	dir = filepath.Join(dir, "pages")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	return dir
}

// pictureName returns a name such as "history-390-dark".
func pictureName(page string, width int64, theme string) string {
	return fmt.Sprintf("%s-%d-%s", page, width, theme)
}
