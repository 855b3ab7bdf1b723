package moving

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// svixEndpoint is an EndpointOut of Svix's API, with what further requests say about it. Source:
// the models of github.com/svix/svix-webhooks, of August 2026.
type svixEndpoint struct {
	ID           string   `json:"id"`
	UID          string   `json:"uid"`
	URL          string   `json:"url"`
	Description  string   `json:"description"`
	Disabled     bool     `json:"disabled"`
	EventTypes   []string `json:"eventTypes"` // none stands for all
	Channels     []string `json:"channels"`
	ThrottleRate float64  `json:"throttleRate"`

	App struct { // whose it is
		ID  string `json:"id"`
		UID string `json:"uid"`
	} `json:"app"`
	Secret struct { // the response of …/secret
		Key string `json:"key"`
	} `json:"secret"`
	Headers struct { // the response of …/headers
		Headers   map[string]string `json:"headers"`
		Sensitive []string          `json:"sensitive"`
	} `json:"headers"`
	Transformation struct { // the response of …/transformation
		Enabled bool `json:"enabled"`
	} `json:"transformation"`
}

// readSvix reads endpoints one after the other, or in lists. Each has to have its secret and its
// app: the list of Svix's API has neither.
func readSvix(r io.Reader) (found []Endpoint, err error) {
	err = documents(r, func(document json.RawMessage) error {
		var many []svixEndpoint
		if len(document) > 0 && document[0] != '[' {
			document = slices.Concat([]byte("["), document, []byte("]"))
		}
		if err := json.Unmarshal(document, &many); err != nil {
			return unreadable(err)
		}
		for _, e := range many {
			taken, err := e.taken()
			if err != nil {
				return err
			}
			found = append(found, taken)
		}
		return nil
	})
	return found, err
}

// taken returns the endpoint as it is to be here. The organization is the app's own id, if the
// host has given it one.
func (s *svixEndpoint) taken() (Endpoint, error) {
	e := Endpoint{
		Organization: s.App.UID, ID: s.ID, UID: s.UID, URL: s.URL,
		Events: s.EventTypes, Disabled: s.Disabled, Rate: s.ThrottleRate,
	}
	switch {
	case s.ID == "":
		return e, errors.New("an endpoint of the export has no id: a list of Svix's API holds its endpoints in data, and an export has them by themselves")
	case s.App.ID == "" && s.App.UID == "":
		return e, fmt.Errorf("%s has no app: whose it is stands in none of Svix's lists; add it, as docs/moving.md shows", s.ID)
	}
	if e.Organization == "" {
		e.Organization = s.App.ID
	}
	if len(e.Events) == 0 {
		e.Events = []string{Everything}
	}
	e.describe(s.Description)
	s.secret(&e)
	if len(s.Channels) > 0 {
		e.lacks("channels (%s): without them it would get the events of all channels", strings.Join(s.Channels, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers.Headers)) {
		e.Headers = append(e.Headers, Header{name, s.Headers.Headers[name]})
	}
	if len(s.Headers.Sensitive) > 0 {
		e.lacks("its sensitive headers (%s), whose values Svix shows to nobody", strings.Join(s.Headers.Sensitive, ", "))
	}
	if s.Transformation.Enabled {
		e.lacks("a transformation of the payload")
	}
	return e, nil
}

// secret takes the secret over so that both senders sign with the same key. Svix's key is the
// decoded base64, and so is ours in the headers of Standard Webhooks if the secret begins with
// "whsec_". Svix may leave this out.
func (s *svixEndpoint) secret(e *Endpoint) {
	if s.Secret.Key == "" {
		return
	}
	text := strings.TrimPrefix(s.Secret.Key, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	switch {
	case strings.HasPrefix(text, "whpk_") || strings.HasPrefix(text, "whsk_"):
		e.lacks("an asymmetric signature (v1a): it needs a new secret, and its receiver the new secret's check")
	case err != nil || len(key) == 0:
		e.lacks("a secret that is not base64")
	default:
		e.Secret = "whsec_" + text
	}
}

// FetchSvix reads the endpoints of all apps from Svix's API at a URL such as
// https://api.eu.svix.com.
func FetchSvix(ctx context.Context, c *Client, base string) (found []Endpoint, err error) {
	base = strings.TrimRight(base, "/") + "/api/v1/app"
	err = c.svixPages(ctx, base, func(app json.RawMessage) error {
		var named struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(app, &named); err != nil {
			return unreadable(err)
		}
		of := base + "/" + url.PathEscape(named.ID) + "/endpoint"
		return c.svixPages(ctx, of, func(endpoint json.RawMessage) error {
			e, err := c.svixEndpoint(ctx, of, app, endpoint)
			found = append(found, e)
			return err
		})
	})
	return found, err
}

// svixEndpoint asks for what the list does not say.
func (c *Client) svixEndpoint(ctx context.Context, of string, app, endpoint json.RawMessage) (Endpoint, error) {
	var s svixEndpoint
	if err := errors.Join(json.Unmarshal(endpoint, &s), json.Unmarshal(app, &s.App)); err != nil {
		return Endpoint{}, unreadable(err)
	}
	of += "/" + url.PathEscape(s.ID)
	if _, err := c.Get(ctx, of+"/secret", &s.Secret); err != nil {
		return Endpoint{}, err
	}
	if _, err := c.Get(ctx, of+"/headers", &s.Headers); err != nil {
		return Endpoint{}, err
	}
	// A Svix of one's own has no transformations.
	if _, err := c.Get(ctx, of+"/transformation", &s.Transformation); err != nil && !isStatus(err, http.StatusNotFound) {
		return Endpoint{}, err
	}
	return s.taken()
}

// svixPages hands over each element of a list of Svix's API.
func (c *Client) svixPages(ctx context.Context, list string, take func(json.RawMessage) error) error {
	for iterator := ""; ; {
		var page struct {
			Data     []json.RawMessage `json:"data"`
			Iterator string            `json:"iterator"`
			Done     bool              `json:"done"`
		}
		query := url.Values{"limit": {"250"}}
		if iterator != "" {
			query.Set("iterator", iterator)
		}
		if _, err := c.Get(ctx, list+"?"+query.Encode(), &page); err != nil {
			return err
		}
		for _, element := range page.Data {
			if err := take(element); err != nil {
				return err
			}
		}
		if page.Done {
			return nil
		}
		if page.Iterator == "" || page.Iterator == iterator {
			return fmt.Errorf("the list %s does not say where it goes on", list)
		}
		iterator = page.Iterator
	}
}
