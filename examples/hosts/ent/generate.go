// Package ent is generated from package schema. Its feature sql/execquery gives
// transactions the methods that the store needs.
package ent

//go:generate go run -mod=mod entgo.io/ent/cmd/ent@v0.14.5 generate --feature sql/execquery ./schema
