// Package paging reads a list that comes in pages.
package paging

import (
	"iter"

	"github.com/alot/alotwebhook/internal/fault"
)

// All returns the items of all pages, beginning with the page of the cursor. It reads a
// page when its first item is asked for, and ends with the first error.
func All[T any](cursor string, page func(cursor string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := cursor; ; {
			items, next, err := page(cursor)
			if err != nil {
				var none T
				yield(none, fault.Explain(err, "list not read"))
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if cursor = next; cursor == "" {
				return
			}
		}
	}
}

// Each calls found with the items of all pages of each kind, and ends with the first error.
func Each[K, T any](kinds []K, found func(T), page func(kind K, cursor string) (items []T, next string, err error)) error {
	for _, kind := range kinds {
		for item, err := range All("", func(cursor string) ([]T, string, error) { return page(kind, cursor) }) {
			if err != nil {
				return err
			}
			found(item)
		}
	}
	return nil
}
