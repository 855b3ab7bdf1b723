package alotwebhook_test

import (
	"errors"
	"fmt"

	"github.com/alot/alotwebhook"
)

// An event comes out of a queue, with the value of its signature header. During a rotation
// the verifier accepts the old secret and the new one, and says which of them matched.
func ExampleVerifier_VerifyMatch() {
	verifier, err := alotwebhook.NewVerifier("new-secret", "old-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	body := []byte(`{"id":"evt_01jcc7wjz3e4qv8x5k2m9n6p0r","type":"candidate.invited","timestamp":"2026-05-25T14:23:00.000Z",` +
		`"organizationId":"org_123","data":{"candidateName":"Jane Smith"}}`)

	for _, secret := range []alotwebhook.Secret{"new-secret", "old-secret", "a guess"} {
		index, err := verifier.VerifyMatch(body, alotwebhook.Sign(body, secret))
		if errors.Is(err, alotwebhook.ErrSignatureMismatch) {
			fmt.Println("refused")
			continue
		}
		event, err := alotwebhook.ParseEvent(body)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Type, "by secret", index)
	}
	// Output:
	// candidate.invited by secret 0
	// candidate.invited by secret 1
	// refused
}

// Verify needs the body as received, the value of the header X-Alot-Signature, and the
// secret.
func ExampleVerify() {
	err := alotwebhook.Verify(
		[]byte("Hello, World!"),
		"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
		"It's a Secret to Everybody")
	fmt.Println(err)
	// Output: <nil>
}
