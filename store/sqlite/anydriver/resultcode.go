package anydriver

import "reflect"

// resultCode returns SQLite's primary result code of a driver's error, wherever
// in err that is, and 0 if there is none.
func resultCode(err error) int {
	if err == nil {
		return 0
	}
	if code := extendedCode(err); code != 0 {
		return code & 0xff
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return resultCode(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			if code := resultCode(err); code != 0 {
				return code
			}
		}
	}
	return 0
}

// extendedCode returns what an error calls its Code, if that is a number. Each
// driver has a type of its own for its errors, which only a program that links the driver
// knows: modernc.org/sqlite, glebarez/go-sqlite and ncruces/go-sqlite3 have a
// method Code, mattn/go-sqlite3 has a field.
func extendedCode(err error) int {
	v := reflect.ValueOf(err)
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return 0
	}
	code := reflect.Value{}
	if m := v.MethodByName("Code"); m.IsValid() {
		if m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
			code = m.Call(nil)[0]
		}
	} else if v = reflect.Indirect(v); v.Kind() == reflect.Struct {
		code = v.FieldByName("Code")
	}
	switch {
	case code.CanInt():
		return int(code.Int())
	case code.CanUint():
		return int(code.Uint())
	}
	return 0
}
