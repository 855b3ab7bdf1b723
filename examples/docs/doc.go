// Package docs has tests alone: they compile and run what README.md and docs/ show.
//
// A Go block that begins with "package" is a whole file and compiles as it stands.
// Any other names its frame, "```go fragment=sending": a file in testdata that
// declares what the fragment uses, and has a line "// the fragment" in the
// fragment's place. A block "```go from=examples/hosts/gorm.go" is a quotation, and
// must stand in that file line by line.
//
// Each block of shell commands is in a list, which says how it is run, or why it
// cannot be run here. A block that is not in the list fails the tests.
package docs
