package anydriver

import "strings"

// batch is a statement for many rows at once: most of a statement's cost does not
// depend on its rows. It comes in a few sizes, in rows, so that few statements have
// to be prepared. The sizes descend to 1, so that they add up to any number.
type batch struct {
	sizes   []int
	queries []string
}

// batchOf makes a batch of the sizes 64, 8 and 1. Where the query says %, each
// statement has the list as often as its size, with commas between.
func batchOf(query, list string) batch {
	before, after, _ := strings.Cut(query, "%")
	return sized([]int{64, 8, 1}, func(n int) string {
		return before + repeat(list, ",", n) + after
	})
}

// sized makes a batch of these sizes, with the statement that query returns for each.
func sized(sizes []int, query func(n int) string) batch {
	b := batch{sizes: sizes}
	for _, n := range sizes {
		b.queries = append(b.queries, query(n))
	}
	return b
}

func repeat(s, between string, n int) string {
	return strings.TrimSuffix(strings.Repeat(s+between, n), between)
}

// split divides n rows into parts of the batch's sizes. For each part, f is called
// with the statement of that size, for the rows from ≤ i < to.
func (b *batch) split(n int, f func(query string, from, to int) error) error {
	from := 0
	for i, size := range b.sizes {
		for ; n-from >= size; from += size {
			if err := f(b.queries[i], from, from+size); err != nil {
				return err
			}
		}
	}
	return nil
}

// keys calls f for each part of the keys, with the statement and its arguments: front
// and then the keys of the part.
func (b *batch) keys(front []any, keys []key, f func(query string, args []any) error) error {
	return b.split(len(keys), func(query string, from, to int) error {
		args := append(make([]any, 0, len(front)+to-from), front...)
		for i := from; i < to; i++ {
			args = append(args, keys[i][:])
		}
		return f(query, args)
	})
}

// rows executes the statement for n rows. row appends the arguments of row i, as many
// as columns says.
func (b *batch) rows(t *txn, n, columns int, row func(args []any, i int) []any) error {
	return b.split(n, func(query string, from, to int) error {
		args := make([]any, 0, columns*(to-from))
		for i := from; i < to; i++ {
			args = row(args, i)
		}
		return t.exec(query, args...)
	})
}
