// Package interop consists of tests. They compare this library, in both directions, with
// the published Standard Webhooks libraries for Go and JavaScript, test the receivers in
// other languages of examples/receiver, send through forward proxies that are in use, and run clients
// that are generated from the OpenAPI document. They are a module of their own because they need those
// libraries.
//
// The command in the folder servers sends to web servers that are in use; it is run by hand.
//
// The generators come from the registries of Go and npm. One of each language is tried by default, and
// all by "go test -run TestGeneratedClients . -clients".
package interop
