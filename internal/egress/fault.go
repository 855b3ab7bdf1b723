package egress

import (
	"cmp"
	"errors"
	"time"

	"github.com/alot/alotwebhook/internal/fault"
)

// Kind says what a proxy did instead of making a tunnel, in the words of the root's failure
// reasons.
type Kind string

const (
	// Unreachable says that the proxy does not answer, or not as a proxy does.
	Unreachable Kind = "proxy_unreachable"
	// Authentication says that the proxy does not take the credentials.
	Authentication Kind = "proxy_authentication"
	// Refused says that the proxy answers, and makes no tunnel to this one target.
	Refused Kind = "proxy_refused"
)

// Error is the error of a dial that the proxy ended, and not the target. Its text may name the
// proxy, and never holds credentials. It does not unwrap: its cause would be taken for the target's.
type Error struct {
	Kind Kind
	// Wait is how long to wait until the next try, unless the proxy refused the target.
	Wait time.Duration

	problem string
	err     error // nil for none
}

func (e *Error) Error() string {
	if e.err == nil {
		return fault.Prefix + "the proxy " + e.problem
	}
	return fault.Prefix + "the proxy " + e.problem + ": " + e.err.Error()
}

// Detail returns a sentence for customers, without a word about the proxy's address.
func (e *Error) Detail() string {
	switch e.Kind {
	case Refused:
		return "the sender's own proxy let no connection through to that host; no request was made"
	case Authentication:
		return "the sender's own proxy refused the sender; no request was made"
	default:
		return "the sender's own proxy could not be reached; no request was made"
	}
}

// IsFault reports whether an error is the proxy's and would meet every target, and how long to wait
// until the next try.
func IsFault(err error) (wait time.Duration, ok bool) {
	var e *Error
	if !errors.As(err, &e) || e.Kind == Refused {
		return 0, false
	}
	return cmp.Or(e.Wait, firstWait), true
}

func unreachable(problem string, err error) error {
	return &Error{Kind: Unreachable, problem: problem, err: err}
}

func unauthenticated(problem string) error { return &Error{Kind: Authentication, problem: problem} }

func refused(problem string) error { return &Error{Kind: Refused, problem: problem} }

// noAnswer is the end of a connection on which the proxy was asked for a tunnel and said nothing.
type noAnswer struct{ error }

func (e noAnswer) Unwrap() error { return e.error }
