package anydriver

import "strings"

// batch is a statement for many rows at once, which saves most of what a
// statement costs, in a few sizes, so that few are prepared. The sizes descend
// to 1.
type batch struct {
	sizes   []int
	queries []string
}

// batchOf makes one of a list: it stands as often as the size says, with
// commas between, where query has a %.
func batchOf(query, list string) batch {
	before, after, _ := strings.Cut(query, "%")
	return sized([]int{64, 8, 1}, func(n int) string {
		return before + repeat(list, ",", n) + after
	})
}

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

// split calls f with the size's statement for every part of n rows.
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
