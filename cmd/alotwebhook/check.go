package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// check is the command's flags.
type check struct {
	secrets secretFlags
	client  clientFlags

	eventType, data, organization string
	skip                          []string
	maxBody                       int64
	maxAge                        time.Duration
	standard, asJSON              bool
}

func (a *app) checkCommand() *cobra.Command {
	var c check
	cmd := &cobra.Command{
		Use:   "check URL",
		Short: "Try a running receiver with good, forged, odd and repeated requests",
		Long: `Try a running receiver with good, forged, odd and repeated requests, and say for
each that it answers wrongly what to change. It gets some ninety requests, among
them many good events that it will act on: use a test system.

Whether it acts once on an event that comes twice cannot be seen from outside; in
Go, webhooktest.Battery sees it.

The checks are:

` + checksList() + `
The exit code is 0 when no fault was found, 1 when one was.`,
		Example: `  alotwebhook check http://localhost:3000/alot/webhook
  alotwebhook check --type candidate.invited --skip gzip,doubled-header http://localhost:3000/alot/webhook`,
		Args: oneURL,
		RunE: a.does(func(cmd *cobra.Command, args []string) error { return a.check(cmd, &c, args[0]) }),
	}
	c.secrets.add(cmd)
	c.client.add(cmd)
	f := cmd.Flags()
	f.StringVar(&c.eventType, "type", alotwebhook.EventCandidateCompleted, "an event `type` that the receiver handles")
	f.StringVar(&c.data, "data", "", "its data: `JSON`, or @file; that of the catalogue without")
	f.StringVar(&c.organization, "organization", "org_123", "the events' organization `id`")
	f.StringSliceVar(&c.skip, "skip", nil, "leave these `checks` out")
	f.Int64Var(&c.maxBody, "max-body", 8<<20, "the most `bytes` that the receiver may take")
	f.DurationVar(&c.maxAge, "max-age", 0, "the receiver refuses events older than this; 0: none")
	f.BoolVar(&c.standard, "standard", false, "sign with the headers of Standard Webhooks, and try forgeries of those")
	f.BoolVar(&c.asJSON, "json", false, "print one JSON object for each check")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(typeNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("skip", completeChecks)
	return cmd
}

// completeChecks completes the last name of a list with commas.
func completeChecks(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndex(typed, ",")+1]
	names := webhooktest.Battery{}.Checks()
	for i, name := range names {
		names[i] = before + name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// checksList is the names of the checks, in lines that fit.
func checksList() string {
	var b strings.Builder
	line := " "
	for _, name := range (webhooktest.Battery{}).Checks() {
		if len(line)+len(name) > 76 {
			b.WriteString(line + "\n")
			line = " "
		}
		line += " " + name
	}
	return b.String() + line + "\n"
}

func (a *app) check(cmd *cobra.Command, c *check, url string) error {
	if err := checkURL(url); err != nil {
		return err
	}
	battery, err := a.battery(c, url)
	if err != nil {
		return err
	}
	client := c.client.client()
	defer client.CloseIdleConnections()
	findings := battery.Check(cmd.Context(), client.Do)
	if findings[0].Check == "settings" {
		return usagef("%s. %s", findings[0].Problem, findings[0].Change)
	}
	faults := 0
	for _, f := range findings {
		if !f.OK() {
			faults++
		}
	}
	if c.asJSON {
		err = a.findingLines(findings)
	} else {
		a.report(findings, faults)
	}
	switch {
	case err != nil:
		return err
	case cmd.Context().Err() != nil:
		return fmt.Errorf("ended before all checks were made")
	case faults > 0:
		return errSaid
	}
	return nil
}

func (a *app) battery(c *check, url string) (webhooktest.Battery, error) {
	secret, err := a.secret(&c.secrets)
	if err != nil {
		return webhooktest.Battery{}, err
	}
	data, err := dataFlag(c.data)
	if err != nil {
		return webhooktest.Battery{}, err
	}
	return webhooktest.Battery{
		Secret: secret, URL: url, EventType: c.eventType, Data: data, OrganizationID: c.organization,
		MaxBodyBytes: c.maxBody, MaxAge: c.maxAge, Timeout: c.client.timeout, Skip: c.skip, StandardWebhooks: c.standard,
	}, nil
}

func (a *app) report(findings []webhooktest.Finding, faults int) {
	style := a.styleFor(a.out)
	made := 0
	for len(findings) > 0 {
		f, n := findings[0], together(findings)
		findings = findings[n:]
		if f.Skipped == "" {
			made++
		}
		switch {
		case n > 1:
			fmt.Fprintf(a.out, "%s\n", style.dim(fmt.Sprintf("– %d checks  not made: %s", n, f.Skipped)))
		case f.Skipped != "":
			fmt.Fprintf(a.out, "%s\n", style.dim("– "+f.Check+"  not made: "+f.Skipped))
		case f.OK():
			fmt.Fprintf(a.out, "%s %s  %s\n", style.good("✓"), f.Check, style.dim(f.About))
		default:
			fmt.Fprintf(a.out, "%s %s\n    found:  %s\n    right:  %s\n    change: %s\n",
				style.bad("✗"), style.bold(f.Check), printable(f.Problem), f.About, f.Change)
		}
	}
	verdict := style.good("No fault was found.")
	if faults > 0 {
		verdict = style.bad(fmt.Sprintf("Faults found by %d of %d checks.", faults, made))
	}
	fmt.Fprintf(a.out, "\n%s\n%s\n", verdict, style.dim("What it acted on, and how often, cannot be seen from outside: in Go, webhooktest.Battery sees it."))
}

// together returns how many findings one line tells of: a long run of checks that
// were skipped for one reason would hide the fault above it.
func together(findings []webhooktest.Finding) int {
	n := 0
	for n < len(findings) && findings[n].Skipped != "" && findings[n].Skipped == findings[0].Skipped {
		n++
	}
	if n < 4 {
		return 1
	}
	return n
}

func (a *app) findingLines(findings []webhooktest.Finding) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	for _, f := range findings {
		line := struct {
			Check   string `json:"check"`
			OK      bool   `json:"ok"`
			Skipped string `json:"skipped,omitempty"`
			Problem string `json:"problem,omitempty"`
			About   string `json:"about"`
			Change  string `json:"change,omitempty"`
		}{f.Check, f.OK() && f.Skipped == "", f.Skipped, f.Problem, f.About, ""}
		if !f.OK() {
			line.Change = f.Change
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
