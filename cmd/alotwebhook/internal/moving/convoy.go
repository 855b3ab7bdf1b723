package moving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
)

// convoyItem is an endpoint or a subscription of Convoy's API. Source: datastore/models.go of
// github.com/frain-dev/convoy, of August 2026.
type convoyItem struct {
	UID  string `json:"uid"`
	Name string `json:"name"`

	// These are an endpoint's.
	OwnerID           string          `json:"owner_id"`
	URL               string          `json:"url"`
	TargetURL         string          `json:"target_url"` // its older name
	Description       string          `json:"description"`
	Status            string          `json:"status"`
	Secrets           []convoySecret  `json:"secrets"`
	RateLimit         float64         `json:"rate_limit"`
	RateLimitDuration json.RawMessage `json:"rate_limit_duration"`
	Authentication    *struct {
		Type   string `json:"type"`
		APIKey struct {
			Name  string `json:"header_name"`
			Value string `json:"header_value"`
		} `json:"api_key"`
	} `json:"authentication"`
	Certificate *json.RawMessage `json:"mtls_client_cert"`

	// These are a subscription's.
	Endpoint *struct {
		UID string `json:"uid"`
	} `json:"endpoint_metadata"`
	Filter *struct {
		EventTypes []string        `json:"event_types"`
		Filter     json.RawMessage `json:"filter"`
	} `json:"filter_config"`
	Function *string `json:"function"`
}

type convoySecret struct {
	Value     string    `json:"value"`
	ExpiresAt time.Time `json:"expires_at"`
	CreatedAt time.Time `json:"created_at"`
	DeletedAt time.Time `json:"deleted_at"`
}

// readConvoy reads responses of Convoy's API, one after the other: pages of its endpoints, and
// pages of its subscriptions.
func readConvoy(r io.Reader) ([]Endpoint, error) {
	var items []convoyItem
	err := documents(r, func(document json.RawMessage) error {
		page, err := convoyPage(document)
		items = append(items, page.Data.Content...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return joinConvoy(items)
}

// convoyList is a page of a list of Convoy's API.
type convoyList struct {
	Data struct {
		Content    []convoyItem `json:"content"`
		Pagination struct {
			HasNextPage    bool   `json:"has_next_page"`
			NextPageCursor string `json:"next_page_cursor"`
		} `json:"pagination"`
	} `json:"data"`
}

func convoyPage(document json.RawMessage) (page convoyList, err error) {
	if err := json.Unmarshal(document, &page); err != nil {
		return page, unreadable(err)
	}
	if page.Data.Content == nil {
		return page, errors.New("a part of the export is no list of Convoy's API: it has no data.content")
	}
	return page, nil
}

// joinConvoy gives each endpoint the event types of its subscriptions. One without any is left as
// it is, without events: it would be refused.
func joinConvoy(items []convoyItem) (found []Endpoint, err error) {
	subscriptions := map[string][]convoyItem{}
	for _, s := range items {
		if s.Endpoint != nil {
			subscriptions[s.Endpoint.UID] = append(subscriptions[s.Endpoint.UID], s)
		}
	}
	for _, c := range items {
		if c.Endpoint != nil || c.URL == "" && c.TargetURL == "" {
			continue // a subscription, of an endpoint or of something else
		}
		e, err := c.taken(subscriptions[c.UID])
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

func (c *convoyItem) taken(subscriptions []convoyItem) (Endpoint, error) {
	e := Endpoint{Organization: c.OwnerID, ID: c.UID, URL: c.URL, Disabled: c.Status != "active" && c.Status != ""}
	if e.URL == "" {
		e.URL = c.TargetURL
	}
	if e.describe(c.Description); e.Description == "" {
		e.describe(c.Name)
	}
	e.Secret = newest(c.Secrets)
	if c.RateLimit > 0 {
		per, err := convoySeconds(c.RateLimitDuration)
		if err != nil {
			return e, fmt.Errorf("the rate_limit_duration of %s is not understood: %w", c.UID, err)
		}
		if e.Rate = c.RateLimit / per; math.IsInf(e.Rate, 0) { // which no JSON can tell
			e.Rate = math.MaxFloat64
		}
	}
	switch by := c.Authentication; {
	case by == nil || by.Type == "":
	case by.Type == "api_key" && by.APIKey.Name != "" && by.APIKey.Value != "":
		e.Headers = []Header{{by.APIKey.Name, by.APIKey.Value}}
	default:
		e.lacks("credentials of its own (%s): give them again afterwards", by.Type)
	}
	if c.Certificate != nil {
		e.lacks("its client certificate: give it again afterwards")
	}
	for _, s := range subscriptions {
		s.subscribe(&e)
	}
	slices.Sort(e.Events)
	e.Events = slices.Compact(e.Events)
	return e, nil
}

// subscribe adds what the subscription is to.
func (c *convoyItem) subscribe(e *Endpoint) {
	if c.Function != nil && strings.TrimSpace(*c.Function) != "" {
		e.lacks("a function that transforms the payload")
	}
	if c.Filter == nil || len(c.Filter.EventTypes) == 0 {
		e.Events = append(e.Events, Everything)
		return
	}
	e.Events = append(e.Events, c.Filter.EventTypes...)
	if filters(c.Filter.Filter) {
		e.lacks("a filter by payload or header: without it the endpoint would get more events")
	}
}

// filters reports whether a filter has anything in it: one without parts stands in every
// subscription.
func filters(filter json.RawMessage) bool {
	var parts map[string]any
	if json.Unmarshal(filter, &parts) != nil {
		return len(filter) > 0 && string(filter) != "null"
	}
	for _, part := range parts {
		switch part := part.(type) {
		case nil, bool: // is_flattened
		case map[string]any:
			if len(part) > 0 {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// newest returns the secret that signs: the one made last of those that are neither deleted nor
// out of date.
func newest(secrets []convoySecret) string {
	var found convoySecret
	for _, s := range secrets {
		ended := !s.DeletedAt.IsZero() || !s.ExpiresAt.IsZero() && s.ExpiresAt.Before(time.Now())
		if !ended && !s.CreatedAt.Before(found.CreatedAt) {
			found = s
		}
	}
	return found.Value
}

// convoySeconds reads a number of seconds, or a duration such as "1m" of older versions.
func convoySeconds(given json.RawMessage) (float64, error) {
	var seconds float64
	if json.Unmarshal(given, &seconds) == nil && seconds > 0 {
		return seconds, nil
	}
	var text string
	if err := json.Unmarshal(given, &text); err != nil {
		return 0, errors.New("it is neither a number of seconds nor a duration")
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("it must be more than 0")
	}
	return d.Seconds(), err
}

// FetchConvoy reads the endpoints and subscriptions of a project from Convoy's API at a URL such
// as https://us.getconvoy.cloud.
func FetchConvoy(ctx context.Context, c *Client, base, project string) ([]Endpoint, error) {
	base = strings.TrimRight(base, "/") + "/api/v1/projects/" + url.PathEscape(project)
	var items []convoyItem
	for _, list := range []string{"/endpoints", "/subscriptions"} {
		for query := (url.Values{"perPage": {"100"}}); ; {
			var document json.RawMessage
			if _, err := c.Get(ctx, base+list+"?"+query.Encode(), &document); err != nil {
				return nil, err
			}
			page, err := convoyPage(document)
			if err != nil {
				return nil, err
			}
			items = append(items, page.Data.Content...)
			next := page.Data.Pagination.NextPageCursor
			if !page.Data.Pagination.HasNextPage {
				break
			}
			if next == "" || next == query.Get("next_page_cursor") {
				return nil, fmt.Errorf("the list %s does not say where it goes on", base+list)
			}
			query.Set("direction", "next")
			query.Set("next_page_cursor", next)
		}
	}
	return joinConvoy(items)
}
