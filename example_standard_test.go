package alotwebhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
)

// With the headers of Standard Webhooks the time of the attempt is signed too, so
// that an old request cannot be sent again.
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

// What a Standard Webhooks library is given for a secret of one's own.
func ExampleSecret_Standard() {
	secret := alotwebhook.Secret("your-signing-secret")
	fmt.Println(string(secret.Standard()))
	// Output: whsec_eW91ci1zaWduaW5nLXNlY3JldA==
}
