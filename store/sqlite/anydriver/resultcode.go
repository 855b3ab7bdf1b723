package anydriver

import "reflect"

// resultCode returns SQLite's primary result code of a driver's error, wherever
// in err that is, and 0 if there is none.
func resultCode(err error) int { return findCode(err, "Code") & 0xff }

// extendedResultCode returns SQLite's extended result code of a driver's error, or the
// primary one if the error has no other.
func extendedResultCode(err error) int {
	if code := findCode(err, "ExtendedCode"); code != 0 {
		return code
	}
	return findCode(err, "Code")
}

// findCode returns the number that the first error in the tree of err calls by a name, and
// 0 if there is none.
func findCode(err error, name string) int {
	if err == nil {
		return 0
	}
	if code := codeOf(err, name); code != 0 {
		return code
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return findCode(err.Unwrap(), name)
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			if code := findCode(err, name); code != 0 {
				return code
			}
		}
	}
	return 0
}

// codeOf returns what an error calls its Code or ExtendedCode, if that is a number. Each
// driver has a type of its own for its errors, which only a program that links the driver
// knows. A Code of modernc.org/sqlite and glebarez/go-sqlite is a method and returns the
// extended code. Those of ncruces/go-sqlite3 are two methods, or the error is a number
// itself, the extended code, and has a method Code. Those of mattn/go-sqlite3 are fields.
func codeOf(err error, name string) int {
	v := reflect.ValueOf(err)
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return 0
	case v.CanUint() && name == "ExtendedCode" && v.MethodByName("Code").IsValid():
		return int(v.Uint())
	}
	code := reflect.Value{}
	if m := v.MethodByName(name); m.IsValid() {
		if m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
			code = m.Call(nil)[0]
		}
	} else if v = reflect.Indirect(v); v.Kind() == reflect.Struct {
		code = v.FieldByName(name)
	}
	switch {
	case code.CanInt():
		return int(code.Int())
	case code.CanUint():
		return int(code.Uint())
	}
	return 0
}
