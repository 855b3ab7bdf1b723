// Package schema is what ent generates from.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
)

// Candidate is a row of the table candidates.
type Candidate struct{ ent.Schema }

// Annotations name the table.
func (Candidate) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Table("candidates")}
}

// Fields are the table's columns.
func (Candidate) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").StorageKey("session_id"),
		field.Int("score"),
	}
}
