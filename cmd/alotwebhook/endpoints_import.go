package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// imports holds the flags of the command endpoints import.
type imports struct {
	api                    apiFlags
	from, ledger, secrets  string
	dryRun, lessIsFine     bool
	types, organizations   map[string]string
	dropTypes, onlyOfThese []string
}

func (a *app) importCommand() *cobra.Command {
	var m imports
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Register the endpoints of a file with a service",
		Long: `Register the endpoints of a file with a service that has the management API of this
library: with their secrets, so that receivers go on verifying. The file is one that
export wrote, or what Svix's or Convoy's API has said (--from). - is standard input.

Each endpoint is told of in a line: created, changed, unchanged, or refused and why.
With --dry-run, nothing is done, and the lines say what would be. Secrets are never
printed.

The map has the old id of each endpoint beside its new one. With the map, a second run
registers nothing twice: it carries over what was changed at the old sender since, and
goes on where an earlier run was ended. What was changed here since is left as it is.

The exit code is 1 if an endpoint was refused, or if the run ended before all were done.`,
		Example: `  alotwebhook endpoints import endpoints.json --api https://app.example.com/v1/operator --map map.jsonl --dry-run
  alotwebhook endpoints import endpoints.json --api https://app.example.com/v1/operator --map map.jsonl --only org_123
  alotwebhook endpoints import endpoints.json --api https://app.example.com/v1/webhooks --map map.jsonl --type user.created=candidate.invited`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one file, or - for standard input, and not %d arguments", len(args))
			}
			return nil
		},
		RunE: a.does(func(cmd *cobra.Command, args []string) error { return a.imports(cmd, &m, args[0]) }),
	}
	m.api.add(cmd, "the `URL` of the management API, which ends with /v1/webhooks, or of the operators' API, with /v1/operator")
	f := cmd.Flags()
	f.StringVar(&m.ledger, "map", "", "keep the old and the new ids in this `file`, a JSON object a line")
	f.BoolVar(&m.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.StringVar(&m.from, "from", moving.FromOurs, "what the file is from: "+strings.Join(moving.Sources, ", "))
	f.StringArrayVar(&m.onlyOfThese, "only", nil, "import only the endpoints of this `organization` of the file; may be repeated")
	f.StringToStringVar(&m.organizations, "organization", nil, "an organization of the file, and what it is called here, as `old=new`; may be repeated")
	f.StringToStringVar(&m.types, "type", nil, "an event type of the file, and what it is called here, as `old=new`; may be repeated")
	f.StringSliceVar(&m.dropTypes, "drop-type", nil, "leave out this event `type` of the file; may be repeated")
	f.BoolVar(&m.lessIsFine, "ignore-unsupported", false, "also import endpoints that get less here, such as events of all channels")
	f.StringVar(&m.secrets, "new-secrets", "", "have secrets generated for endpoints without one, and add them to this `file`")
	_ = cmd.MarkFlagRequired("map") // the flag exists
	_ = cmd.MarkFlagFilename("map")
	return cmd
}

func (a *app) imports(cmd *cobra.Command, m *imports, file string) error {
	client, err := a.open(cmd.Context(), &m.api)
	if err != nil {
		return err
	}
	service, err := moving.NewService(client, m.api.api)
	if err != nil {
		return usageError{err}
	}
	all, err := a.exported(cmd.Context(), m, file)
	if err != nil {
		return err
	}
	endpoints, err := m.chosen(all, service)
	if err != nil {
		return err
	}
	files, err := m.open(file)
	if err != nil {
		return err
	}
	lines := &importLines{a: a, dryRun: m.dryRun, done: map[moving.Outcome]int{}}
	im := moving.Importer{
		Service: service, Ledger: files.ledger, DryRun: m.dryRun, Types: m.types, Organizations: m.organizationsOf(all),
		DropTypes: m.dropTypes, IgnoreUnsupported: m.lessIsFine, KeepSecret: files.keepSecret, Report: lines.print,
	}
	err = errors.Join(im.Run(cmd.Context(), endpoints), files.close())
	lines.sum()
	switch {
	case errors.Is(err, moving.ErrMap):
		return fmt.Errorf("%w; see that it can be, and run the same again within a day, which finds what was registered last", err)
	case err != nil:
		return fmt.Errorf("%w; what is done is in the map, and another run goes on from there", err)
	case lines.done[moving.Refused] > 0:
		return errSaid
	}
	return nil
}

// exported reads the file.
func (a *app) exported(ctx context.Context, m *imports, file string) ([]moving.Endpoint, error) {
	if !slices.Contains(moving.Sources, m.from) {
		return nil, usagef("--from is %q; it must be one of %s", m.from, strings.Join(moving.Sources, ", "))
	}
	var text []byte
	var err error
	if file == "-" {
		text, err = interruptible(ctx, func() ([]byte, error) { return io.ReadAll(a.in) })
	} else {
		text, err = readFile(ctx, file, "the export")
	}
	if err != nil {
		return nil, err
	}
	return moving.Read(m.from, bytes.NewReader(text))
}

// chosen returns what of the file is wanted, with the organizations as they are called here.
func (m *imports) chosen(all []moving.Endpoint, service *moving.Service) ([]moving.Endpoint, error) {
	for _, wanted := range m.onlyOfThese {
		if !slices.ContainsFunc(all, func(e moving.Endpoint) bool { return e.Organization == wanted }) {
			return nil, usagef("the file has no endpoint of the organization %q", wanted)
		}
	}
	endpoints := slices.DeleteFunc(slices.Clone(all), func(e moving.Endpoint) bool {
		return len(m.onlyOfThese) > 0 && !slices.Contains(m.onlyOfThese, e.Organization)
	})
	if !service.KnowsOrganizations() {
		if err := ofOne(endpoints); err != nil {
			return nil, err
		}
	}
	endpoints, err := moving.Renamed(endpoints, m.organizations)
	if err != nil {
		return nil, usageError{err}
	}
	return endpoints, nil
}

// organizationsOf returns the organizations of the file, as they are called here.
func (m *imports) organizationsOf(all []moving.Endpoint) (names []string) {
	for _, e := range all {
		name, ok := m.organizations[e.Organization]
		if !ok {
			name = e.Organization
		}
		names = append(names, name)
	}
	return names
}

// ofOne refuses endpoints of several organizations: the customers' API has one, and would give
// it everybody's.
func ofOne(endpoints []moving.Endpoint) error {
	for _, e := range endpoints {
		if e.Organization != endpoints[0].Organization {
			return usagef("the file has endpoints of several organizations, such as %q and %q, and this API speaks for one; choose with --only, or use the operators' API",
				endpoints[0].Organization, e.Organization)
		}
	}
	return nil
}

// importLines prints what becomes of each endpoint.
type importLines struct {
	a      *app
	dryRun bool
	done   map[moving.Outcome]int
}

// wouldBe are the words of a dry run.
var wouldBe = map[moving.Outcome]string{
	moving.Created: "would be created", moving.Changed: "would be changed", moving.Unchanged: "unchanged",
	moving.Refused: "would be refused", moving.NotDone: "not looked at",
}

func (l *importLines) print(r moving.Result) {
	l.done[r.Outcome]++
	style := l.a.styleFor(l.a.out)
	verb := string(r.Outcome)
	if l.dryRun {
		verb = wouldBe[r.Outcome]
	}
	switch r.Outcome {
	case moving.Created, moving.Changed:
		verb = style.good(verb)
	case moving.Refused, moving.NotDone:
		verb = style.bad(verb)
	}
	var line []string
	for _, part := range []string{verb, r.Endpoint.Organization, r.Endpoint.ID, moving.Place(r.Endpoint.URL)} {
		if part != "" {
			line = append(line, part)
		}
	}
	if r.ID != "" {
		line = append(line, "as "+r.ID)
	}
	said := strings.Join(line, "  ")
	if r.Detail != "" {
		said += ": " + r.Detail
	}
	fmt.Fprintln(l.a.out, strings.ReplaceAll(printable(said), "\n", " "))
}

// sum prints how many there are of each outcome.
func (l *importLines) sum() {
	var parts []string
	for _, o := range []moving.Outcome{moving.Created, moving.Changed, moving.Unchanged, moving.Refused, moving.NotDone} {
		if l.done[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", l.done[o], o))
		}
	}
	said := cmp.Or(strings.Join(parts, ", "), "nothing to do")
	if l.dryRun {
		said = "Nothing was done; it would be: " + said
	}
	fmt.Fprintln(l.a.out, said)
}
