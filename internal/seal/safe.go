package seal

import (
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/loglimit"
)

// Sealer seals the secrets of endpoints, which are texts of a type S.
type Sealer[S ~string] interface {
	Seal(endpointID string, secret S) (S, error)
	Open(endpointID string, sealed S) (S, error)
}

// errNothing refuses an empty text: anybody can sign with an empty secret.
var errNothing = errors.New("Config.Sealer returned an empty text and no error; let it return an error if it cannot seal or open")

// Safe seals and opens secrets with a sealer or, without one, keeps them as they are. It is safe for
// concurrent use.
type Safe[S ~string] struct {
	// Sealer is nil if secrets are kept in plain.
	Sealer Sealer[S]
	Host   *caught.Host
	Log    *slog.Logger

	plain sync.Map         // what Open has warned of: endpoint ids with their secrets
	lines loglimit.Limiter // of faults
}

// Seal returns the secret as a store is to keep it.
func (s *Safe[S]) Seal(endpointID string, secret S) (S, error) {
	if s.Sealer == nil {
		return secret, nil
	}
	var sealed S
	err := s.Host.Call("Config.Sealer", func() (err error) { sealed, err = s.Sealer.Seal(endpointID, secret); return err })
	if err == nil && sealed == "" && secret != "" {
		err = errNothing
	}
	return sealed, fault.Explain(err, "secret not sealed")
}

// Open returns a secret that a store kept as its plain text. It warns once of each that was not sealed.
// An error of the sealer is a [Fault].
func (s *Safe[S]) Open(endpointID string, secret S) (S, error) {
	if s.Sealer == nil {
		return secret, nil
	}
	if _, ok := s.Sealer.(Of[S]); ok && !IsSealed(string(secret)) {
		if _, told := s.plain.LoadOrStore(endpointID+string(secret), nil); !told {
			s.Log.Warn("alotwebhook: a secret is stored in plain although there is a Sealer; call Reseal, and if you have, find out who wrote it", "endpoint", endpointID)
		}
	}
	var plain S
	err := s.Host.Apart("Config.Sealer", func() (err error) { plain, err = s.Sealer.Open(endpointID, secret); return err })
	if err == nil && plain == "" && secret != "" {
		err = errNothing
	}
	return plain, fault.Explain(s.fault(err), "secret not opened")
}

// Texts returns Seal and Open for plain texts.
func (s *Safe[S]) Texts() (seal, open func(endpointID, text string) (string, error)) {
	seal = func(id, text string) (string, error) { sealed, err := s.Seal(id, S(text)); return string(sealed), err }
	open = func(id, text string) (string, error) { plain, err := s.Open(id, S(text)); return string(plain), err }
	return seal, open
}

// AreCurrent reports whether all of these that are not "" are sealed with the first key of a [Ring].
func (s *Safe[S]) AreCurrent(sealed ...S) bool {
	own, ok := s.Sealer.(Of[S])
	return ok && !slices.ContainsFunc(sealed, func(of S) bool { return of != "" && !own.Ring.IsCurrent(string(of)) })
}

// Reseal seals all of these anew that are not "". After an error some may be.
func (s *Safe[S]) Reseal(endpointID string, sealed ...*S) error {
	for _, of := range sealed {
		if *of == "" {
			continue
		}
		plain, err := s.Open(endpointID, *of)
		if err != nil {
			return err
		}
		if *of, err = s.Seal(endpointID, plain); err != nil {
			return err
		}
	}
	return nil
}
