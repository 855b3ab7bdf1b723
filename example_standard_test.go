package alotwebhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
)

// The headers of Standard Webhooks include a signed time. A verifier that requires them
// refuses a request that somebody recorded and sends again later.
func ExampleVerifier_AcceptStandard() {
	verifier, err := alotwebhook.NewVerifier("your-signing-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier = verifier.AcceptStandard(&alotwebhook.StandardConfig{Only: true})

	body := []byte(`{"id":"evt_01jcc7wjz3e4qv8x5k2m9n6p0r"}`)
	for _, at := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} {
		header := http.Header{}
		header.Set(alotwebhook.StandardIDHeader, "evt_01jcc7wjz3e4qv8x5k2m9n6p0r")
		header.Set(alotwebhook.StandardTimestampHeader, strconv.FormatInt(at.Unix(), 10))
		header.Set(alotwebhook.StandardSignatureHeader,
			alotwebhook.SignStandard(body, "evt_01jcc7wjz3e4qv8x5k2m9n6p0r", at, "your-signing-secret"))
		_, err := verifier.VerifyHeader(body, header)
		fmt.Println(err == nil, errors.Is(err, alotwebhook.ErrAttemptTooOld))
	}
	// Output:
	// true false
	// false true
}

// A Standard Webhooks library takes a secret in this form.
func ExampleSecret_Standard() {
	secret := alotwebhook.Secret("your-signing-secret")
	fmt.Println(string(secret.Standard()))
	// Output: whsec_eW91ci1zaWduaW5nLXNlY3JldA==
}
