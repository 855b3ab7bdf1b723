// Package interop consists of tests. They compare this library, in both directions, with
// the published Standard Webhooks libraries for Go and JavaScript, test the receivers in
// other languages of examples/receiver, and send through forward proxies that are in use. They
// are a module of their own because they need those libraries.
package interop
