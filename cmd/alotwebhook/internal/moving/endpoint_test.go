package moving_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// What is wrong with an export is said in words of JSON, and without a part of it that may be secret.
func TestExportsThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, export, says string }{
		{moving.FromOurs, "", "the export is empty"},
		{moving.FromOurs, "hunter2", "the export is not JSON: the error is at byte 1"},
		{moving.FromOurs, `{"endpoints":[{"secret":"hunter2"`, "ends in the middle of its JSON"},
		{moving.FromOurs, `["hunter2"]`, "the export is an array, where an object belongs"},
		{moving.FromOurs, `{"endpoints":{"hunter2":1}}`, `"endpoints" in the export is an object, where an array belongs`},
		{moving.FromOurs, `{"endpoints":[{"url":["hunter2"]}]}`, `"endpoints.url" in the export is an array, where a string belongs`},
		{moving.FromOurs, `{"endpoints":[{"disabled":"hunter2"}]}`, `"endpoints.disabled" in the export is a string, where true or false belongs`},
		{moving.FromOurs, `{"endpoints":[{"rate":1e400}]}`, `"endpoints.rate" in the export is a number that is out of range`},
		{moving.FromOurs, `{"endpoints":[null]}`, "endpoint 1 of the export has no URL"},
		{moving.FromOurs, `{"endpoints":[{"URL":"https://a/?hunter2"}]}`, `has the key "URL", which has to be written in the letters of the documentation`},
		{moving.FromOurs, `{"Endpoints":[]}`, `has the key "Endpoints"`},
		{moving.FromOurs, `{"endpoints":[{"url":"https://a/","secret":"hunter2","secret":"hunter2"}]}`, `has the key "secret" twice in one object`},
		{moving.FromOurs, `{"endpoints":[{"url":"https://a/"}],"endpoints":[{"url":"https://b/"}]}`, `has the key "endpoints" twice`},
		{moving.FromOurs, `{"endpoints":[{"url":"https://a/","headers":[{"name":"a","Value":"hunter2"}]}]}`, `has the key "Value"`},
		{moving.FromOurs, `{"endpoints":[{"url":"https://a/?hunter2"},{"url":"https://a/?hunter2"}]}`, "https://a/?…"},
		{moving.FromSvix, `"hunter2"`, "the export is a string, where an object belongs"},
		{moving.FromConvoy, `{"data":["hunter2"]}`, `"data" in the export is an array, where an object belongs`},
		{moving.FromConvoy, `{"data":{"content":[{"secrets":[{"expires_at":"hunter2"}]}]}}`, "a time in the export is not one such as"},
	} {
		_, err := moving.Read(c.from, strings.NewReader(c.export))
		require.ErrorContains(t, err, c.says, c.export)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
