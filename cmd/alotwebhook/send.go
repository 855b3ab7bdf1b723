package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
)

// send holds the flags of the command send.
type send struct {
	secrets secretFlags
	client  clientFlags

	eventType, organization, id, data, file string
	unsigned, standard, test                bool
}

func (a *app) sendCommand() *cobra.Command {
	var s send
	cmd := &cobra.Command{
		Use:   "send URL",
		Short: "Send a signed event to a URL and show the response",
		Long: `Send a signed event to a URL, as the real sender would, and show the request, the
response and how long it took. The published event types come with example data:

` + typesList() + `
The exit code is 0 for a 2xx response and 1 for anything else.`,
		Example: `  alotwebhook send http://localhost:3000/alot/webhook
  alotwebhook send --type candidate.invited http://localhost:3000/alot/webhook
  alotwebhook send --type candidate.withdrew --data '{"sessionId":"sess_9"}' http://localhost:3000/alot/webhook
  alotwebhook send --data @data.json http://localhost:3000/alot/webhook
  alotwebhook send --body recorded.json http://localhost:3000/alot/webhook`,
		Args: oneURL,
		RunE: a.does(func(cmd *cobra.Command, args []string) error {
			if err := checkURL(args[0]); err != nil {
				return err
			}
			header, body, err := a.request(cmd.Context(), &s)
			if err != nil {
				return err
			}
			return a.send(cmd, &s, args[0], header, body)
		}),
	}
	s.secrets.add(cmd)
	s.client.add(cmd)
	f := cmd.Flags()
	f.StringVar(&s.eventType, "type", alotwebhook.EventCandidateCompleted, "the event `type`; any is allowed")
	f.StringVar(&s.data, "data", "", "the event's data: `JSON`, or @file; by default the example in the catalogue")
	f.StringVar(&s.organization, "organization", "org_123", "the event's organization `id`")
	f.StringVar(&s.id, "id", "", "the event's `id`, to send the same event again; by default a new one")
	f.StringVar(&s.file, "body", "", "send exactly the bytes of this `file`, even if they are no event; - is standard input")
	f.BoolVar(&s.standard, "standard", false, "add the headers of Standard Webhooks")
	f.BoolVar(&s.test, "test", false, "say in a header that the event is a test, as the pages do")
	f.BoolVar(&s.unsigned, "unsigned", false, "send no signature, to see the receiver refuse it")
	for _, other := range []string{"type", "data", "organization", "id"} {
		cmd.MarkFlagsMutuallyExclusive("body", other)
	}
	_ = cmd.MarkFlagFilename("body") // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(typeNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func typeNames() (names []string) {
	for _, t := range alotwebhook.DefaultEventTypes() {
		names = append(names, t.Name)
	}
	return names
}

func typesList() string {
	var b strings.Builder
	for _, t := range alotwebhook.DefaultEventTypes() {
		fmt.Fprintf(&b, "  %-24s %s\n", t.Name, t.Description)
	}
	return b.String()
}

// request makes the header and the body to send.
func (a *app) request(ctx context.Context, s *send) (http.Header, []byte, error) {
	var body []byte
	if s.file != "" {
		b, err := a.body(ctx, []string{s.file})
		if err != nil {
			return nil, nil, err
		}
		body = b
	} else {
		e, err := s.event(ctx)
		if err != nil {
			return nil, nil, err
		}
		body = e.Payload()
	}
	header := eventHeader(body)
	if s.test {
		header.Set(alotwebhook.TestHeader, "true")
	}
	if s.unsigned {
		return header, body, nil
	}
	secret, err := a.secret(ctx, &s.secrets)
	if err == nil {
		s.sign(header, body, secret)
	}
	return header, body, err
}

// eventHeader returns the headers of a body, as the sender makes them, without a signature.
func eventHeader(body []byte) http.Header {
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"alotwebhook/1"}, alotwebhook.AttemptHeader: {"1"}}
	if e, err := alotwebhook.ParseEvent(body); err == nil {
		header.Set(alotwebhook.EventHeader, e.Type)
		header.Set(alotwebhook.DeliveryHeader, alotwebhook.DeliveryID(e.ID, localEndpoint))
	}
	return header
}

func (s *send) sign(header http.Header, body []byte, secret alotwebhook.Secret) {
	header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign(body, secret))
	if !s.standard {
		return
	}
	id, now := "msg_0", time.Now()
	if e, err := alotwebhook.ParseEvent(body); err == nil {
		id = e.ID
	}
	header.Set(alotwebhook.StandardIDHeader, id)
	header.Set(alotwebhook.StandardTimestampHeader, strconv.FormatInt(now.Unix(), 10))
	header.Set(alotwebhook.StandardSignatureHeader, alotwebhook.SignStandard(body, id, now, secret))
}

// localEndpoint is the endpoint in the delivery id. A local URL is registered
// nowhere, so it has no id of its own.
const localEndpoint = "wh_00000000000000000000000000"

func (s *send) event(ctx context.Context) (alotwebhook.Event, error) {
	data, err := s.dataOf(ctx)
	if err != nil {
		return alotwebhook.Event{}, err
	}
	e, err := alotwebhook.NewEvent(s.eventType, s.organization, data)
	if err != nil {
		return e, usageError{err}
	}
	if s.id != "" {
		e.ID = s.id
	}
	if _, err := alotwebhook.ParseEvent(e.Payload()); err != nil {
		return e, usageError{err}
	}
	return e, nil
}

// dataOf returns the data of --data, or else the example in the catalogue.
func (s *send) dataOf(ctx context.Context) (json.RawMessage, error) {
	if data, err := dataFlag(ctx, s.data); len(data) > 0 || err != nil {
		return data, err
	}
	for _, t := range alotwebhook.DefaultEventTypes() {
		if t.Name == s.eventType {
			return t.Example, nil
		}
	}
	return json.RawMessage("{}"), nil
}

// dataFlag returns the JSON of a flag, or of the file that is named after an @.
func dataFlag(ctx context.Context, text string) (json.RawMessage, error) {
	name, isFile := strings.CutPrefix(text, "@")
	if !isFile {
		return json.RawMessage(text), nil
	}
	b, err := readFile(ctx, name, "the data")
	if err == nil && len(bytes.TrimSpace(b)) == 0 {
		return nil, usagef("the data is empty: %s has none", name)
	}
	return b, err
}

func (a *app) send(cmd *cobra.Command, s *send, to string, header http.Header, body []byte) error {
	style := a.styleFor(a.out)
	fmt.Fprintf(a.out, "%s %s\n%s\n%s\n", style.bold("POST"), printable(to), style.dim(headerLines(header)), shown(body))
	if json.Valid(body) && shown(body) != string(body) {
		fmt.Fprintln(a.out, style.dim(fmt.Sprintf("(shown with indentation; sent and signed as %d bytes)", len(body))))
	}
	got := post(cmd.Context(), s.client.client(), s.client.timeout, to, header, body)
	fmt.Fprintln(a.out)
	if got.err != nil {
		fmt.Fprintf(a.out, "%s %s\n", got.said(style), style.dim("after "+took(got.took)))
		return errSaid
	}
	fmt.Fprintf(a.out, "%s %s\n%s", style.status(got.status), style.dim("in "+took(got.took)), style.dim(headerLines(got.header)))
	if len(got.body) > 0 {
		fmt.Fprintf(a.out, "\n%s\n", shown(got.body))
	}
	if got.ok() {
		return nil
	}
	if got.status >= 300 && got.status < 400 {
		fmt.Fprintln(a.out, "\nThe sender follows no redirect: register the URL that it leads to.")
	}
	return errSaid
}
