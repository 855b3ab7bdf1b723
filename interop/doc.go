// Package interop consists of tests. They compare this library, in both directions, with
// the published Standard Webhooks libraries for Go and JavaScript, and test the receivers
// in other languages of examples/receiver. They are a module of their own because they
// need those libraries.
package interop
