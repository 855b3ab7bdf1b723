// Package apitest tests the management API over every store, and holds each
// answer to the API's own OpenAPI document. It is a module of its own, since the
// stores and the validator of OpenAPI are dependencies that package settings
// does without.
package apitest
