// Package sqltest tests dedupe.SQL on real databases. It is a module of its own,
// so that package dedupe needs no drivers.
package sqltest
