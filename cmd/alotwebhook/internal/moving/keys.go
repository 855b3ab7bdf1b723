package moving

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// namesIn returns the keys that a struct has in JSON, with the types of their values.
func namesIn(t reflect.Type) map[string]reflect.Type {
	names := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names[name] = t.Field(i).Type
	}
	return names
}

// exactKeys refuses a key that stands twice in an object, or in other letters than it is documented in. Package
// json takes both, and of two values the last. It has read the text into the type before.
func exactKeys(text []byte, t reflect.Type) error {
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return exactObject(text, namesIn(t))
	case reflect.Slice:
		var elements []json.RawMessage
		if err := json.Unmarshal(text, &elements); err != nil {
			return err
		}
		for _, element := range elements {
			if err := exactKeys(element, t.Elem()); err != nil {
				return err
			}
		}
	}
	return nil
}

func exactObject(text []byte, names map[string]reflect.Type) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil { // the bracket
		return err
	}
	for seen := map[string]bool{}; decoder.More(); {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		switch {
		case names[name] == nil:
			return fmt.Errorf("the export has the key %q, which has to be written in the letters of the documentation", name)
		case seen[name]:
			return fmt.Errorf("the export has the key %q twice in one object", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		if err := exactKeys(value, names[name]); err != nil {
			return err
		}
	}
	return nil
}
