package sqlite

import "strings"

// Many rows go in one statement: it saves most of what a statement costs. The
// statements come in a few sizes, so that few are prepared.
var sizes = [...]int{64, 8, 1}

// batch is a statement in each of these sizes.
type batch [len(sizes)]string

// batchOf makes one: list stands n times, with commas between, where query has a %.
func batchOf(query, list string) (b batch) {
	before, after, _ := strings.Cut(query, "%")
	for i, n := range sizes {
		b[i] = before + strings.TrimSuffix(strings.Repeat(list+",", n), ",") + after
	}
	return b
}

// split calls f with the size's statement for every part of n rows.
func (b *batch) split(n int, f func(query string, from, to int) error) error {
	from := 0
	for i, size := range sizes {
		for ; n-from >= size; from += size {
			if err := f(b[i], from, from+size); err != nil {
				return err
			}
		}
	}
	return nil
}

// keys runs f with the statement's arguments for parts of the keys: those in
// front, then the keys of the part.
func (b *batch) keys(front []any, keys []key, f func(query string, args []any) error) error {
	return b.split(len(keys), func(query string, from, to int) error {
		args := append(make([]any, 0, len(front)+to-from), front...)
		for i := from; i < to; i++ {
			args = append(args, keys[i][:])
		}
		return f(query, args)
	})
}

// rows executes the statement for n rows of so many columns each.
func (b *batch) rows(t *txn, n, columns int, row func(args []any, i int) []any) error {
	return b.split(n, func(query string, from, to int) error {
		args := make([]any, 0, columns*(to-from))
		for i := from; i < to; i++ {
			args = row(args, i)
		}
		return t.exec(query, args...)
	})
}
