package settings

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// schemaField is a row of the table that a page shows of a schema.
type schemaField struct {
	Path        string // such as "candidate.emails[].address"
	Type        string // such as "string or null"; "" if the schema does not say
	Required    bool   // within the object that has it
	Description string
	Rule        string // further rules, in words
}

// The table shows so many fields, and objects in objects so deep: the schema below it has all.
const (
	maxSchemaFields = 200
	maxSchemaDepth  = 6
)

// schemaNode is what the table shows of a schema. Whatever else there is in it, it leaves out.
type schemaNode struct {
	Ref         string          `json:"$ref"`
	Type        json.RawMessage `json:"type"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Format      string          `json:"format"`
	Enum        []any           `json:"enum"`
	Const       any             `json:"const"`
	Required    []string        `json:"required"`
	Properties  json.RawMessage `json:"properties"`
	Items       json.RawMessage `json:"items"`
	AllOf       json.RawMessage `json:"allOf"`
	AnyOf       json.RawMessage `json:"anyOf"`
	OneOf       json.RawMessage `json:"oneOf"`
}

// schemaTable reads the fields of a schema, in its order.
type schemaTable struct {
	root   json.RawMessage
	fields []schemaField
	more   bool // there is more than the table shows
}

// fieldsOf returns the fields of a schema, and whether it has more than these.
func fieldsOf(schema json.RawMessage) ([]schemaField, bool) {
	t := schemaTable{root: schema}
	if len(schema) > 0 {
		t.read("", schema, maxSchemaDepth)
	}
	return t.fields, t.more
}

// read adds the fields of the objects that a schema describes.
func (t *schemaTable) read(path string, schema json.RawMessage, depth int) {
	n, ok := t.node(schema)
	switch {
	case !ok:
		return
	case depth == 0:
		t.more = t.more || len(n.Properties) > 0 || len(n.Items) > 0
		return
	}
	t.more = t.more || len(n.AllOf) > 0 || len(n.AnyOf) > 0 || len(n.OneOf) > 0
	if len(n.Items) > 0 {
		t.read(path+"[]", n.Items, depth-1)
	}
	if len(n.Properties) == 0 {
		return
	}
	_ = members(n.Properties, func(key string, value json.RawMessage) {
		if len(t.fields) == maxSchemaFields {
			t.more = true
			return
		}
		of, _ := t.node(value)
		name := strings.TrimPrefix(path+"."+key, ".")
		t.fields = append(t.fields, schemaField{name, of.types(), slices.Contains(n.Required, key), of.says(), of.rule()})
		t.read(name, value, depth-1)
	})
}

// node reads a schema. One that refers to a part of the same document is that part.
func (t *schemaTable) node(schema json.RawMessage) (n schemaNode, ok bool) {
	var says string // what stands beside the reference is about this use of it
	for range maxSchemaDepth {
		n = schemaNode{}
		if json.Unmarshal(schema, &n) != nil { // true and false are schemas, too
			return schemaNode{}, false
		}
		says = cmp.Or(says, n.Description)
		n.Description = says
		if n.Ref == "" {
			return n, true
		}
		if schema = t.part(n.Ref); schema == nil {
			t.more = true
			return n, true
		}
	}
	t.more = true
	return schemaNode{}, false
}

// part returns the part of the schema that a reference such as "#/$defs/name" names, or nil.
func (t *schemaTable) part(ref string) json.RawMessage {
	pointer, here := strings.CutPrefix(ref, "#/")
	if !here {
		return nil
	}
	part := t.root
	for key := range strings.SplitSeq(pointer, "/") {
		var object map[string]json.RawMessage
		if json.Unmarshal(part, &object) != nil {
			return nil
		}
		part = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(key)]
	}
	return part
}

// types returns the types of a value in words.
func (n schemaNode) types() string {
	var one string
	var many []string
	if json.Unmarshal(n.Type, &one) == nil {
		return one
	}
	_ = json.Unmarshal(n.Type, &many)
	return strings.Join(many, " or ")
}

// says returns what the schema says of a value, without the backticks of Markdown.
func (n schemaNode) says() string {
	return strings.ReplaceAll(cmp.Or(n.Description, n.Title), "`", "")
}

// rule returns which values the schema names, and its format. That of a number is for generators of
// clients, and not for people.
func (n schemaNode) rule() string {
	var rules []string
	if n.Format != "" && !strings.Contains(n.types(), "number") && !strings.Contains(n.types(), "integer") {
		rules = append(rules, "in the form "+n.Format)
	}
	if n.Const != nil {
		rules = append(rules, "always "+spelled(n.Const))
	}
	if len(n.Enum) > 0 {
		values := make([]string, len(n.Enum))
		for i, v := range n.Enum {
			values[i] = spelled(v)
		}
		rules = append(rules, "one of "+strings.Join(values, ", "))
	}
	return strings.Join(rules, "; ")
}

// spelled returns a value as JSON.
func spelled(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}
