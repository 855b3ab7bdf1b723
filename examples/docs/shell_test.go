package docs_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// step is a block of shell commands that is run.
type step struct {
	begins string // its first line
	// leftOut are lines of it that cannot be run here, with the reason.
	leftOut map[string]string
	// ready is set for commands that go on: what they print when the next block
	// may begin.
	ready string
}

// session runs blocks of a document in their order, in one bash. It fails where
// a command does.
type session struct {
	document string
	inRoot   bool // run in the repository; otherwise in an empty directory
	// receiver: what README shows under "Receiving" is running.
	receiver bool
	steps    []step
	prints   []string // what must be in the output
}

var sessions = []session{
	{
		document: "README.md", inRoot: true,
		steps: []step{{
			begins:  "go run ./examples/quickstart",
			leftOut: map[string]string{"go test work": "this test is part of it"},
		}},
		prints: []string{"delivered"},
	},
	{
		document: "README.md", receiver: true,
		steps:  []step{{begins: "export ALOT_WEBHOOK_SECRET=your-signing-secret"}},
		prints: []string{"200 OK"},
	},
	{
		document: "docs/receiving.md", receiver: true,
		steps: []step{
			{begins: "export ALOT_WEBHOOK_SECRET=your-signing-secret         # or --secret-file"},
			{begins: "alotwebhook listen --forward http://localhost:3000/alot/webhook   # receive, verify, print, pass on", ready: "Replaying at"},
			{begins: "alotwebhook send http://127.0.0.1:4280/   # while listen runs: an event to it"},
			{begins: `printf '%s' '{"id":"evt_01jcc7wjz3e4qv8x5k2m9n6p0r","type":"candidate.completed","timestamp":"2026-05-25T14:23:00.000Z","organizationId":"org_123","data":{}}' > body.json`},
		},
		prints: []string{"200 OK", "Jane Smith", "No fault was found", "verified"},
	},
	{
		document: "docs/settings.md",
		steps: []step{
			{begins: "export ALOT_WEBHOOK_SECRET=your-signing-secret"},
			{begins: "A=$B/v1/webhooks"},
			{begins: "curl -s $A/event-types -H \"$H\" | jq                                                      # what can be subscribed to"},
		},
		prints: []string{
			`"eventId": "evt_`, `"status": 422`, `"status": 404`, `"deliveries": [`,
			`"name": "candidate.completed"`, `Etag: "1"`, `"description": "ATS"`, `"ordered": true`, `"nextSecretFrom"`, `"payload"`, `"operations": [`, `"title"`,
		},
	},
	{
		document: "docs/moving.md",
		steps:    []step{{begins: "go run ./examples/monolith -dev & # a product with the API"}},
		prints: []string{
			"would be created  ep_1", "would be refused  ep_2", "url", "created  ep_1", "unchanged  ep_1", "1 unchanged, 1 refused",
			"ep_1\twh_", "without their secrets",
		},
	},
	{
		document: "docs/operating.md",
		steps:    []step{{begins: "alotwebhook id evt_01jcc7wjz3e4qv8x5k2m9n6p0r     # an id as a UUID, as bytes, and its time"}},
		prints:   []string{"0193187e-4be3-712f-b474-b31513535818", "evt_01jcc7wjz3e4qv8x5k2m9n6p0r"},
	},
}

// notRun are the blocks that cannot be run here, by document and first line.
var notRun = map[string]map[string]string{
	"docs/moving.md": {
		"umask 077 # the files that follow are for you alone": "it asks Svix and Convoy; nothing here leaves loopback. The tests of the command ask stand-ins",
	},
	"README.md": {
		"go get github.com/alot/alotwebhook                              # receivers need no more": "it fetches a release; nothing here leaves loopback",
	},
	"CONTRIBUTING.md": {
		"go test work                    # the tests of every module":                                    "this test is part of it, as of .ci/run; the quickstart is run from README.md",
		"ALOT_TEST_ARTIFACTS=/tmp/pages go test ./settings/e2e -count=1 -run TestEveryPageIsFitToBeSeen": "it is run with the other tests",
	},
	"docs/settings.md": {
		`curl -s -X PATCH $A/$W -H "$H" -H "$J" -d '{"headers":[{"name":"X-Tenant","value":"42"},{"bearer":"t0ken"}]}' | jq .headers # the names`: "it takes a client certificate; the tests of package settings make the same requests",
	},
	"docs/pulling.md": {
		"export ALOT_WEBHOOK_API_TOKEN=your-token   # or --token-file": "it calls the API of a sender; TestPullPrintsLinesAndGoesOn and TestPullSendsToAReceiver run the same",
	},
	"docs/operating.md": {
		"mkdir -p before": "TestRestoreSQLite runs it",
		`pg_dump --dbname="$DATABASE_URL" --format=custom --file=backup.dump`:        "TestRestoreDump runs it",
		`pg_restore --dbname="$RESTORED_URL" --no-owner --exit-on-error backup.dump`: "TestRestoreDump runs it",
	},
	"docs/performance.md": {
		"go run ./bench                                # all of it, in some hours":                             "the tests of these programs run each at its smallest",
		"go run ./bench -json docs/performance/results.json -plots docs/performance -page docs/performance.md": "it takes hours, and changes the document",
		"go test ./store/postgres -run TestMeasureDepth -v -measure -deep":                                     "it takes many minutes",
		"go test ./bench/crash -v": "it is run with the other tests",
	},
}

// TestEveryShellBlockIsInAList: a new one is run, or it is said why not; and no
// entry of a list outlives its block.
func TestEveryShellBlockIsInAList(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{} // to whether it was found
	for _, s := range sessions {
		for _, step := range s.steps {
			listed[s.document+": "+step.begins] = false
		}
	}
	for document, lines := range notRun {
		for line, reason := range lines {
			require.NotEmpty(t, reason, line)
			require.NotContains(t, listed, document+": "+line, "it is run, and is said not to be")
			listed[document+": "+line] = false
		}
	}
	for _, b := range blocks(t, "sh", "console") {
		name := b.file + ": " + b.firstLine()
		found, ok := listed[name]
		require.True(t, ok, "%v is in no list of shell_test.go: run it, or say why that cannot be", b)
		require.False(t, found, "%v begins like another one", b)
		listed[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		require.True(t, listed[name], "no document has the block that is listed as %s", name)
	}
}

// TestShellBlocksRun runs each session. The addresses that documents show are
// replaced by free ones.
func TestShellBlocksRun(t *testing.T) {
	t.Parallel()
	for _, s := range sessions {
		t.Run(filepath.Base(s.document)+"/"+s.steps[0].begins[:12], func(t *testing.T) {
			t.Parallel()
			requireTools(t, "bash", "curl", "jq")
			output := s.run(t)
			for _, want := range s.prints {
				require.Contains(t, output, want)
			}
		})
	}
}

func requireTools(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "" {
			t.Skipf("%s is not installed", name)
		} else {
			require.NoError(t, err, "CI is set")
		}
	}
}

// run returns what the commands print.
func (s session) run(t testing.TB) string {
	t.Helper()
	directory := t.TempDir()
	replace := replacer{"go run ./examples/": programs(t) + "/"}
	for _, address := range []string{"localhost:3000", "127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:4280", "127.0.0.1:4281"} {
		replace[address] = freeAddress(t)
	}
	replace["monolith -dev"] = "monolith -addr " + replace["127.0.0.1:8080"] + " -dev"
	replace["receiver -db"] = "receiver -addr " + replace["127.0.0.1:8081"] + " -db"
	replace["alotwebhook listen"] = "alotwebhook listen --addr " + replace["127.0.0.1:4280"] + " --control " + replace["127.0.0.1:4281"]
	replace["alotwebhook replay"] = "alotwebhook replay --control " + replace["127.0.0.1:4281"]
	if s.inRoot {
		directory, replace = root, replacer{}
	}
	if s.receiver {
		startReceiver(t, replace["localhost:3000"])
	}
	return bash(t, directory, replace.in(s.script(t)))
}

// script joins the blocks. At its end, whatever still runs is ended.
func (s session) script(t testing.TB) string {
	t.Helper()
	var script strings.Builder
	fmt.Fprintln(&script, "trap '{ kill $(jobs -p); wait; cat ./*.log; } 2>/dev/null || true' EXIT")
	for i, step := range s.steps {
		text := step.text(t, s.document)
		if step.ready == "" {
			script.WriteString(text)
			continue
		}
		fmt.Fprintf(&script, "{ %s\n} >%d.log 2>&1 </dev/null &\n", strings.TrimSpace(text), i)
		fmt.Fprintf(&script, "until grep -q '%s' %d.log; do kill -0 $!; sleep 0.05; done\n", step.ready, i)
	}
	return script.String()
}

func (s step) text(t testing.TB, document string) string {
	t.Helper()
	var text strings.Builder
	for _, b := range blocksOf(t, document) {
		if b.firstLine() != s.begins {
			continue
		}
		for line := range strings.Lines(b.text) {
			if s.leftOut[strings.TrimSpace(line)] == "" {
				text.WriteString(line)
			}
		}
	}
	require.NotEmpty(t, text.String(), "%s has no block %q", document, s.begins)
	return text.String()
}

// bash runs a script in a process group of its own.
func bash(t testing.TB, directory, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = directory
	cmd.Env = append(os.Environ(), "PATH="+programs(t)+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_COLOR=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	output, err := os.CreateTemp(t.TempDir(), "") // a pipe would be waited for until all that inherit it end
	require.NoError(t, err)
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	err = cmd.Run()
	_ = cmd.Cancel() // a shell that is killed does not end what it has started
	said, readErr := os.ReadFile(output.Name())
	require.NoError(t, readErr)
	require.NoError(t, err, "%s\n\n%s", script, said)
	return string(said)
}

// replacer replaces the longer texts first.
type replacer map[string]string

func (r replacer) in(text string) string {
	var pairs []string
	for _, old := range slices.SortedFunc(maps.Keys(r), func(a, b string) int { return len(b) - len(a) }) {
		pairs = append(pairs, old, r[old])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
