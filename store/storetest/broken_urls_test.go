package storetest_test

import (
	"context"

	"github.com/alot/alotwebhook"
)

// urlsAs shows deliveries with the URLs that the function makes of each attempt.
type urlsAs struct {
	alotwebhook.Store
	change func(s alotwebhook.Store, ctx context.Context, d *alotwebhook.Delivery)
}

func (s urlsAs) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if err == nil {
		s.change(s.Store, ctx, &d)
	}
	return d, err
}

// urlOfFinish takes the URL of the endpoint as it is when the outcome comes.
type urlOfFinish struct{ alotwebhook.Store }

func (s urlOfFinish) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	for i := range outcomes {
		page, _, err := s.Store.Endpoints(ctx, alotwebhook.EndpointFilter{OrganizationID: "org_1", Limit: 1})
		if err == nil && len(page) == 1 {
			outcomes[i].URLs = page[0].URLs
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// urlMutants are stores with a fault in the URLs of attempts.
func urlMutants() map[string]mutant {
	as := func(change func(alotwebhook.Store, context.Context, *alotwebhook.Delivery), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return urlsAs{s, change} }, found}
	}
	return map[string]mutant{
		"NoURL": as(func(_ alotwebhook.Store, _ context.Context, d *alotwebhook.Delivery) {
			for i := range d.Attempts {
				d.Attempts[i].URL = ""
			}
		}, "URLs/First", "URLs/Changed", "URLs/Meanwhile", "URLs/Many"),
		"URLOfToday": as(func(s alotwebhook.Store, ctx context.Context, d *alotwebhook.Delivery) {
			e, _ := s.Endpoint(ctx, d.EndpointID)
			for i := range d.Attempts {
				d.Attempts[i].URL = e.URL
			}
		}, "URLs/Changed", "URLs/Meanwhile", "URLs/Many", "URLs/Deleted", "URLs/Erased"),
		"URLOfFinish": {func(s alotwebhook.Store) alotwebhook.Store { return urlOfFinish{s} }, []string{"URLs/Meanwhile"}},
	}
}
