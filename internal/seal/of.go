package seal

import "github.com/alot/alotwebhook/internal/fault"

// Of is a ring as a [Sealer] of secrets of a type S.
type Of[S ~string] struct{ Ring *Ring }

// Seal encrypts the secret of an endpoint with the first key.
func (o Of[S]) Seal(endpointID string, secret S) (S, error) {
	return S(o.Ring.Seal(endpointID, string(secret))), nil
}

// Open decrypts a secret of an endpoint with whichever key.
func (o Of[S]) Open(endpointID string, sealed S) (S, error) {
	plain, err := o.Ring.Open(endpointID, string(sealed))
	if err != nil {
		return "", fault.Prefixed(err)
	}
	return S(plain), nil
}
