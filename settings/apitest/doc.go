// Package apitest tests the management API over every store, and validates each
// response against the API's OpenAPI document. It is a module of its own, because
// package settings must not depend on the stores and on the validator.
package apitest
