// Package sqltest tests dedupe.SQL on real databases. It is a module of its own, so
// that the module of package dedupe does not require database drivers.
package sqltest
