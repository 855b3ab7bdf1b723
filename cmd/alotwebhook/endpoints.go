package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// tokenVariable has the token for the API.
const tokenVariable = "ALOT_WEBHOOK_API_TOKEN"

func (a *app) endpointsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "endpoints",
		Short: "Move endpoints in, from Svix, Convoy or another service",
		Long: `Move endpoints, with their secrets, from another sender to a service that has the
management API of this library. docs/moving.md has the order of steps, and the
form of the files.`,
		Example: `  alotwebhook endpoints export --from svix --api https://api.eu.svix.com --token-file svix.token --out endpoints.json
  alotwebhook endpoints import endpoints.json --api https://app.example.com/v1/operator --map map.jsonl --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.exportCommand(), a.importCommand())
	return cmd
}

// apiFlags say which API a command speaks to.
type apiFlags struct {
	api, tokenFile string
	client         clientFlags
}

func (f *apiFlags) add(cmd *cobra.Command, api string) {
	flags := cmd.Flags()
	flags.StringVar(&f.api, "api", "", api)
	flags.StringVar(&f.tokenFile, "token-file", "", "read the API's bearer token from this `file`; by default from "+tokenVariable)
	timeoutFlag(cmd, &f.client.timeout, 30*time.Second, "how long to wait for a response")
	flags.BoolVar(&f.client.insecure, "insecure", false, "accept any certificate, for https on your own machine")
	_ = cmd.MarkFlagRequired("api") // the flag exists
	_ = cmd.MarkFlagFilename("token-file")
}

// open returns a client of the API. Tokens and secrets go over https, or stay on this machine.
func (a *app) open(ctx context.Context, f *apiFlags) (*moving.Client, error) {
	if err := checkURL(f.api); err != nil {
		return nil, err
	}
	u, err := url.Parse(f.api)
	switch {
	case err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, usagef("--api is a URL without a user, a query and a fragment")
	case u.Scheme == "http" && !onLoopback(u.Hostname()):
		return nil, usagef("--api is %s, and http would show the token and the secrets to everybody on the way; use https", u.Redacted())
	case f.client.insecure && !onLoopback(u.Hostname()):
		return nil, usagef("--insecure is for an API on this machine; anybody could take the token and the secrets")
	}
	token, err := a.token(ctx, f.tokenFile)
	return &moving.Client{HTTP: f.client.client(), Token: token, Timeout: f.client.timeout, Waits: func() {
		fmt.Fprintln(a.err, "The API says that requests come too often (429). Waiting, as it asks for.")
	}}, err
}

func onLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (a *app) token(ctx context.Context, file string) (string, error) {
	text, from := a.env(tokenVariable), tokenVariable
	if file != "" {
		b, err := readFile(ctx, file, "the token")
		if err != nil {
			return "", err
		}
		text, from = strings.TrimSpace(string(b)), file
	}
	switch {
	case text == "":
		return "", usagef("no token in %s: give --token-file, or set %s", from, tokenVariable)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", usagef("what is in %s is no token: it has a blank, a line end or a sign that is not ASCII in it; give the token alone", from)
	}
	return text, nil
}

// export holds the flags of the command endpoints export.
type export struct {
	api                apiFlags
	from, project, out string
}

func (a *app) exportCommand() *cobra.Command {
	var x export
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the endpoints of a service to a file",
		Long: `Write the endpoints of Svix, Convoy or a service with this library to a file that
import reads.

From Svix and Convoy the file has the secrets, so it has to be named by --out: it is
made for you alone, and never written over. Delete it once it is imported.

From this library it has no secrets: no API shows them. To move them, use the
database; to have others, import with --new-secrets.`,
		Example: `  alotwebhook endpoints export --api https://app.example.com/v1/webhooks > endpoints.json
  alotwebhook endpoints export --from svix --api https://api.eu.svix.com --token-file svix.token --out endpoints.json
  alotwebhook endpoints export --from convoy --project 01H0… --api https://us.getconvoy.cloud --token-file convoy.token --out endpoints.json`,
		Args: cobra.NoArgs,
		RunE: a.does(func(cmd *cobra.Command, _ []string) error { return a.export(cmd, &x) }),
	}
	x.api.add(cmd, "the `URL` of the API: it ends with /v1/webhooks or /v1/operator, or is where Svix's or Convoy's API is")
	f := cmd.Flags()
	f.StringVar(&x.from, "from", moving.FromOurs, "whose API it is: "+strings.Join(moving.Sources, ", "))
	f.StringVar(&x.project, "project", "", "the `id` of Convoy's project")
	f.StringVar(&x.out, "out", "", "write to this `file`, which must not exist yet")
	return cmd
}

func (a *app) export(cmd *cobra.Command, x *export) error {
	withSecrets := x.from != moving.FromOurs
	switch {
	case !slices.Contains(moving.Sources, x.from):
		return usagef("--from is %q; it must be one of %s", x.from, strings.Join(moving.Sources, ", "))
	case withSecrets && x.out == "":
		return usagef("the export has secrets, so that it is not printed; name a file with --out")
	case (x.from == moving.FromConvoy) != (x.project != ""):
		return usagef("--project belongs to --from convoy, and is needed there")
	}
	client, err := a.open(cmd.Context(), &x.api)
	if err != nil {
		return err
	}
	out, err := a.create(x.out)
	if err != nil {
		return err
	}
	found, err := x.fetch(cmd, client)
	if err == nil {
		err = moving.File{From: x.from, Endpoints: found}.Write(out)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		if x.out != "" {
			_ = os.Remove(x.out) // it is not whole, and would be in the way of another try
		}
		return err
	}
	fmt.Fprintf(a.err, "%d endpoints", len(found))
	if withSecrets {
		fmt.Fprintf(a.err, ", with their secrets. Keep %s to yourself, and delete it once it is imported.\n", x.out)
	} else {
		fmt.Fprintln(a.err, ", without their secrets: the API shows these to nobody.")
	}
	return nil
}

func (x *export) fetch(cmd *cobra.Command, client *moving.Client) ([]moving.Endpoint, error) {
	switch x.from {
	case moving.FromSvix:
		return moving.FetchSvix(cmd.Context(), client, x.api.api)
	case moving.FromConvoy:
		return moving.FetchConvoy(cmd.Context(), client, x.api.api, x.project)
	}
	service, err := moving.NewService(client, x.api.api)
	if err != nil {
		return nil, usageError{err}
	}
	return service.Export(cmd.Context())
}

// create makes a file for the user alone, or returns standard output for "".
func (a *app) create(name string) (io.WriteCloser, error) {
	if name == "" {
		return struct {
			io.Writer
			io.Closer
		}{a.out, io.NopCloser(nil)}, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, usagef("cannot write the export: %w", err)
	}
	return f, nil
}
