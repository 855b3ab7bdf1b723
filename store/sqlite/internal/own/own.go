// Package own is how package sqlite hands the handles that it has opened to
// package anydriver. Nobody outside of store/sqlite can do so: the store takes
// for granted that nothing else goes through them.
package own

import "database/sql"

// Handles are three on the same file, closed by the store.
type Handles struct {
	// Path names the file in errors.
	Path string
	// Writes has one connection. Its transactions begin with the write lock
	// and do not wait for it.
	Writes *sql.DB
	// Claims has one connection, which cannot write.
	Claims *sql.DB
	// Reads cannot write.
	Reads *sql.DB
}
