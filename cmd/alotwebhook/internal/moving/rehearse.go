package moving

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// rehearse refuses what the service would refuse: it registers the endpoint with a dispatcher in
// this process, which has the service's catalogue and judges by the defaults of everything else.
func (im *Importer) rehearse(ctx context.Context, e *Endpoint, want state) error {
	known := im.catalogues[e.Organization]
	config := &alotwebhook.Config{Wildcards: known.Wildcards, PayloadVersions: known.PayloadVersions, MaxEndpoints: -1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, t := range known.EventTypes {
		config.EventTypes = append(config.EventTypes, alotwebhook.EventType{Name: t.Name, Description: t.Description})
	}
	if strings.HasPrefix(im.Service.base, "http:") { // a service on this machine, where one tries things out
		config.AllowHTTP = true
		config.AllowNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	dispatcher, err := alotwebhook.NewDispatcher(memory.New(), config)
	if err != nil {
		return err
	}
	organization := e.Organization
	if organization == "" {
		organization = "org"
	}
	var headers []alotwebhook.Header
	for _, h := range e.Headers {
		headers = append(headers, alotwebhook.Header{Name: h.Name, Value: alotwebhook.Secret(h.Value)})
	}
	_, err = dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: organization, URL: want.URL, Description: want.Description, EventTypes: want.Events,
		Disabled: want.Disabled, Ordered: want.Ordered, Rate: want.Rate, Secret: alotwebhook.Secret(e.Secret),
		PayloadVersion: want.PayloadVersion, Headers: headers,
	})
	var field *alotwebhook.FieldError
	if errors.As(err, &field) {
		return refusef("%s", strings.TrimPrefix(err.Error(), "alotwebhook: "))
	}
	return err
}
