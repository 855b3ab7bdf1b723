// Package conformance holds store/postgres to the contract of a store, over every kind of
// connection: tests alone. They take minutes, and a package of their own has time limits of its own.
package conformance
