package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// A customer adds an endpoint, is told what is missing, and has it enabled by a proof.
func TestACustomerProvesTheURL(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		h := newHost(t, func(c *alotwebhook.Config) { c.ProveURLs = true })
		service := webhooktest.NewServer(t)
		b := open(t, h.base, script)
		b.expected = []string{"status of 401", "status of 409"}
		b.visit("new")
		b.fill("#field-url", service.URL)
		b.click("form button.primary")
		b.sees("Endpoint added", "Nothing is sent yet")
		secret := run(b, chromedp.Text(chromedp.ID("secret")))
		b.fits(script, "unproven-secret")
		b.click("a.button.primary")
		b.sees("still to be proven", "endpoint.url_validation")
		endpoint := b.path()
		b.fits(script, "unproven-endpoint")
		b.size(1280)
		b.visit(endpoint)
		b.click(`form[action$="/prove"] button`)
		b.sees("The URL is not proven: it answered 401 Unauthorized", "Prove the URL")
		b.fits(script, "unproven-refused")
		service.AddSecret(alotwebhook.Secret(secret))
		b.size(1280)
		b.click(`form[action$="/prove"] button`)
		b.sees("URL proven", "Send a test event")
		b.visit("")
		b.sees("Enabled")
	})
}

// fits requires that the page can be seen well, and keeps pictures of it, with script only.
func (b *tab) fits(script bool, name string) {
	b.t.Helper()
	if script {
		b.requireFitToBeSeen(name)
	}
}
