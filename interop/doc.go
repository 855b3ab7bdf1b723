// Package interop has tests alone: against the published libraries of Standard
// Webhooks for Go and JavaScript, both ways, and of the verifiers in other
// languages that examples/receiver shows. They are a module of their own for the
// sake of the libraries that they need.
package interop
