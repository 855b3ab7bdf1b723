package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/settings"
)

// allClients is set by hand: generating with all of them takes some minutes.
var allClients = flag.Bool("clients", false, "generate a client with every generator, from both documents")

// generator makes a client from an OpenAPI document. Its folder in testdata/clients has its
// configuration, what it depends on, and the client's adapter to the scenario.
type generator struct {
	language string   // whose folder has the scenario
	module   string   // what it is in Go, at a version; otherwise package.json says it
	command  []string // reads openapi.json and writes the folder generated
	compile  []string // compiles that folder alone
	always   bool     // also without -clients
}

var generators = map[string]generator{
	"oapi-codegen": {
		language: "go", module: "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2", always: true,
		command: []string{"bin/oapi-codegen", "-config", "config.yaml", "openapi.json"},
		compile: []string{"go", "build", "./generated"},
	},
	"ogen": {
		language: "go", module: "github.com/ogen-go/ogen/cmd/ogen@v1.25.0",
		command: []string{"bin/ogen", "-config", "config.yaml", "-target", "generated", "-package", "generated", "-clean", "openapi.json"},
		compile: []string{"go", "build", "./generated"},
	},
	"openapi-typescript": {
		language: "typescript", always: true,
		command: []string{"node_modules/.bin/openapi-typescript", "openapi.json", "-o", "generated/schema.d.ts"},
		compile: typescript("generated/schema.d.ts", "--skipLibCheck", "false"),
	},
	"hey-api": {
		language: "typescript",
		command:  []string{"node_modules/.bin/openapi-ts"},
		compile:  typescript("generated/sdk.gen.ts", "--skipLibCheck"),
	},
	"orval": {
		language: "typescript",
		command:  []string{"node_modules/.bin/orval", "--config", "orval.config.ts"},
		compile:  typescript("generated/api.ts", "--skipLibCheck"),
	},
}

// typescript is the command that compiles one file as strictly as the scenario is.
func typescript(file string, more ...string) []string {
	return append([]string{"node_modules/.bin/tsc", "--strict", "--noEmit", "--target", "ES2022", "--lib", "ES2022,DOM,DOM.Iterable",
		"--module", "NodeNext", file}, more...)
}

func TestGeneratedClients(t *testing.T) {
	t.Parallel()
	for name, g := range generators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !g.always && !*allClients {
				t.Skip("is generated only by: go test -run TestGeneratedClients . -clients")
			}
			s := serve(t)
			w := workshop{t, t.TempDir(), append(os.Environ(), "GOWORK=off", "BASE="+s.url, "RECEIVER="+s.receiver, "TOKEN="+token)}
			w.install(name, g)
			w.generate(g, settings.OpenAPI())
			var f facts
			output := w.runClient(g)
			require.NoError(t, json.Unmarshal([]byte(output), &f), output)
			judge(t, s, f)
			if *allClients {
				document, err := settings.OperatorOpenAPI()
				require.NoError(t, err)
				w.generate(g, document)
				w.must(g.compile...)
			}
		})
	}
}

// workshop is a folder where a client is generated, compiled and run.
type workshop struct {
	t   *testing.T
	dir string
	env []string
}

// run runs a command in the folder and returns its standard output, and on failure an error with
// all that it said.
func (w workshop) run(command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	name := command[0]
	if filepath.Base(name) != name {
		name = filepath.Join(w.dir, name)
	}
	cmd := exec.CommandContext(ctx, name, command[1:]...)
	cmd.Dir, cmd.Env = w.dir, w.env
	var output, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%v: %w: %s%s", command, err, said.String(), output.String())
	}
	return output.String(), nil
}

// must is run for what has to succeed.
func (w workshop) must(command ...string) string {
	w.t.Helper()
	output, err := w.run(command...)
	require.NoError(w.t, err)
	return output
}

// install brings the generator and what its client depends on from the registries.
func (w workshop) install(name string, g generator) {
	t := w.t
	t.Helper()
	for _, folder := range []string{g.language, name} {
		require.NoError(t, os.CopyFS(w.dir, os.DirFS(filepath.Join("testdata/clients", folder))))
	}
	if g.language != "go" {
		w.npm(name)
		return
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		require.NoError(t, os.Rename(filepath.Join(w.dir, file+".txt"), filepath.Join(w.dir, file)))
	}
	w.env = append(w.env, "GOBIN="+filepath.Join(w.dir, "bin"))
	if _, err := w.run("go", "install", g.module); err != nil {
		missing(t, "%s cannot be installed: %v", name, err)
	}
	if _, err := w.run("go", "mod", "download"); err != nil {
		missing(t, "what clients of %s import cannot be had: %v", name, err)
	}
}

// npmDate is the day of what npm installs. Each package.json names its packages at one version; what those need
// in turn is the newest that was published before the day. Lock files would hold that as well, with checksums, but
// those of the frameworks have three thousand lines that nobody reads. Whoever raises a version sets the day, too.
const npmDate = "2026-11-30"

// npm installs what the package.json in the folder names.
func (w workshop) npm(name string) {
	w.t.Helper()
	program(w.t, "node")
	program(w.t, "npm")
	if _, err := w.run("npm", "install", "--before="+npmDate, "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		missing(w.t, "%s cannot be installed: %v", name, err)
	}
}

// A range, such as ^1.2.3, would bring another version on another day.
func TestPackagesOfNPMArePinned(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*/*/package.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 6)
	for _, file := range append(files, "javascript/package.json") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var p struct{ Dependencies map[string]string }
		require.NoError(t, json.Unmarshal(text, &p), file)
		require.NotEmpty(t, p.Dependencies, file)
		for name, version := range p.Dependencies {
			require.Regexp(t, `^\d+\.\d+\.\d+$`, version, "%s in %s", name, file)
		}
	}
}

// generate makes the client of a document, in the place of that of another.
func (w workshop) generate(g generator, document []byte) {
	w.t.Helper()
	generated := filepath.Join(w.dir, "generated")
	require.NoError(w.t, os.RemoveAll(generated))
	require.NoError(w.t, os.Mkdir(generated, 0o755))
	require.NoError(w.t, os.WriteFile(filepath.Join(w.dir, "openapi.json"), document, 0o600))
	w.must(g.command...)
}

// runClient compiles the scenario with the client, and runs it.
func (w workshop) runClient(g generator) string {
	w.t.Helper()
	if g.language == "go" {
		return w.must("go", "run", ".")
	}
	w.must("node_modules/.bin/tsc", "-p", ".")
	return w.must("node", "built/main.js")
}
