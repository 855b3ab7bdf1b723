package webhookclient

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// request is a call of the API.
type request struct {
	method string
	// path is that below apiPath. What stands in braces is the prefix of an id, in whose place id goes.
	path, id string
	query    url.Values
	in       any // becomes the body; nil for none
}

// prepared is a request that may be repeated.
type prepared struct {
	method, url, key string
	body             []byte
}

// prepare checks a request, and gives it the key that all its tries have.
func (c *Client) prepare(r request) (*prepared, error) {
	at, err := r.at()
	if err != nil {
		return nil, err
	}
	p := &prepared{method: r.method, url: c.base + apiPath + at}
	if len(r.query) > 0 {
		p.url += "?" + r.query.Encode()
	}
	if r.in != nil {
		if p.body, err = json.Marshal(r.in); err != nil {
			return nil, fmt.Errorf("webhookclient: %w", err)
		}
	}
	if r.method == http.MethodPost {
		p.key = rand.Text()
	}
	return p, nil
}

// at returns the path with the id. Anything that is no id might lead to another place of the API: there is a
// path called events beside those of the endpoints.
func (r request) at() (string, error) {
	before, rest, _ := strings.Cut(r.path, "{")
	prefix, after, isOne := strings.Cut(rest, "}")
	if !isOne {
		return r.path, nil
	}
	digits, hasPrefix := strings.CutPrefix(r.id, prefix)
	if !hasPrefix || digits == "" || strings.ContainsFunc(digits, isNoDigit) {
		return "", fmt.Errorf("webhookclient: this is no id of %s: such an id begins with %q; give that of the one that is meant", ofPrefix[prefix], prefix)
	}
	return before + r.id + after, nil
}

// ofPrefix says whose ids have a prefix.
var ofPrefix = map[string]string{"wh_": "an endpoint", "dlv_": "a delivery", "evt_": "an event"}

func isNoDigit(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') }

// ask makes a request whose response is a T. Check says what is wrong with it: a proxy or a login page
// may answer 200 as well.
func ask[T any](ctx context.Context, c *Client, r request, check func(T) error) (T, error) {
	var got T
	err := c.call(ctx, r, func(body []byte) error {
		var read T // each try begins anew
		if err := json.Unmarshal(body, &read); err != nil {
			return err
		}
		got = read
		return check(read)
	})
	if err != nil {
		var none T
		return none, err
	}
	return got, nil
}

// idCheck returns a check for the id of what was asked for; "" stands for any.
func idCheck[T any](idOf func(T) string, want string) func(T) error {
	return func(got T) error {
		switch id := idOf(got); {
		case id == "":
			return errors.New("it has no id")
		case want != "" && id != want:
			return errors.New("it has the id of something else")
		}
		return nil
	}
}
