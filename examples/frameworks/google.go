package frameworks

import (
	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"github.com/alot/alotwebhook"
)

// Google registers a function of Google Cloud Functions under the name that the deployment calls its entry point.
// Call it in init. The function is a handler of net/http, so a Receiver is one as it is.
func Google(name string, r *alotwebhook.Receiver) { functions.HTTP(name, r.ServeHTTP) }
