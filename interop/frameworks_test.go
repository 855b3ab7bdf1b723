package interop_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/webhooktest"
)

// allFrameworks is set by hand: Next.js alone installs 340 MB, and builds.
var allFrameworks = flag.Bool("frameworks", false, "run the receiver behind every framework in JavaScript")

// frameworks are those that the comment of receiver.mjs has lines for. Each has a folder in testdata/frameworks with
// its package at that version, and a server with those lines.
var frameworks = map[string]struct {
	lines  []string // of the comment and of the program
	file   string   // which has them, if it is not server.mjs
	build  []string // a command before the server starts
	always bool     // also without -frameworks
}{
	"express": {lines: []string{
		`express.raw({ type: "*/*", limit: "1mb", inflate: false })`,
		`accept(request.body, request.get("x-alot-signature"), secret)`,
	}, always: true},
	"fastify": {lines: []string{
		`app.removeAllContentTypeParsers();`,
		`app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body));`,
		`accept(request.body, request.headers["x-alot-signature"], secret)`,
	}, always: true},
	"nestjs": {lines: []string{
		`await NestFactory.create(App, { rawBody: true`,
		`app.useBodyParser("json", { limit: "1mb", inflate: false });`,
		`accept(request.rawBody, request.get("x-alot-signature"), secret)`,
	}},
	"next": {lines: []string{
		`const body = await read(request.body, request.headers.get("content-length"));`,
		`accept(body, request.headers.get("x-alot-signature"), `,
	}, file: "app/alot/webhook/route.js", build: []string{"node_modules/.bin/next", "build"}},
	"hono": {lines: []string{
		`const body = await read(c.req.raw.body, c.req.header("content-length"));`,
		`accept(body, c.req.header("x-alot-signature"), secret)`,
	}},
	"koa": {lines: []string{
		`const body = await read(ctx.req, ctx.get("content-length"));`,
		`accept(body, ctx.get("x-alot-signature"), secret)`,
	}},
}

// TestFrameworks holds the lines of the comment in receiver.mjs to the battery, behind the real packages.
func TestFrameworks(t *testing.T) {
	t.Parallel()
	for name, f := range frameworks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireLines(t, example(t, "javascript/receiver.mjs"), f.lines)
			file := f.file
			if file == "" {
				file = "server.mjs"
			}
			requireLines(t, filepath.Join("testdata/frameworks", name, file), f.lines)
			if !f.always && !*allFrameworks {
				t.Skip("runs only by: go test -run TestFrameworks . -frameworks")
			}
			w := installFramework(t, name)
			if f.build != nil {
				w.must(f.build...)
			}
			for _, f := range battle(t, w, "server.mjs") {
				require.True(t, f.OK(), f)
			}
		})
	}
}

// A parser of JSON in front of the route is the commonest mistake. It is one finding.
func TestABodyParserInFrontIsNamed(t *testing.T) {
	t.Parallel()
	var found []string
	for _, f := range battle(t, installFramework(t, "express"), "parsed.mjs") {
		if !f.OK() {
			found = append(found, f.Check)
			require.Contains(t, f.Change, "express.json()")
		}
	}
	require.Equal(t, []string{"raw-body"}, found)
}

func requireLines(t *testing.T, file string, lines []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, line := range lines {
		require.Contains(t, string(text), line, file)
	}
}

// installFramework returns a folder with a framework, its servers and receiver.mjs.
func installFramework(t *testing.T, name string) workshop {
	t.Helper()
	w := workshop{t, t.TempDir(), append(os.Environ(), "NEXT_TELEMETRY_DISABLED=1")}
	require.NoError(t, os.CopyFS(w.dir, os.DirFS(filepath.Join("testdata/frameworks", name))))
	receiver, err := os.ReadFile(example(t, "javascript/receiver.mjs"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "receiver.mjs"), receiver, 0o600))
	w.npm(name)
	return w
}

// battle runs the battery against a server in the folder.
func battle(t *testing.T, w workshop, file string) []webhooktest.Finding {
	t.Helper()
	const secret = "your-signing-secret"
	url, _ := start(t, program(t, "node"), filepath.Join(w.dir, file), secret)
	battery := webhooktest.Battery{
		Secret: secret, URL: url, MaxBodyBytes: 1 << 20, Timeout: patience, Proves: true,
		Skip: []string{"duplicate-keys"}, // JSON.parse cannot tell
	}
	return battery.Check(t.Context(), client.Do)
}
