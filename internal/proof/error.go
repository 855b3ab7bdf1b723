package proof

import "errors"

// ErrUnproven says that nothing may be sent to an endpoint yet.
var ErrUnproven = errors.New("alotwebhook: the URL is not proven; have its receiver answer a challenge, with ProveEndpoint")

// Error says what came back to a challenge instead of a proof. It is an [ErrUnproven].
type Error struct {
	Status int    // of the response; 0 if there was none
	Detail string // a sentence for the customer, without any part of the response
}

// Error says what came back.
func (e *Error) Error() string { return "alotwebhook: the URL is not proven: " + e.Detail }

// Is makes every Error an [ErrUnproven].
func (e *Error) Is(target error) bool { return target == ErrUnproven }
