package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The validator computes with exact fractions, so that 1e1000000 costs it a number of a million digits, and
// larger ones make it panic. These are the limits of what it gets: a float64 ends at about 1e±308.
const (
	maxExponent = 400
	maxDigits   = 1000
)

// refuseNumbers returns an error that names the numbers in a decoded value that cannot be checked; nil
// if there are none.
func refuseNumbers(value any) error {
	var s numberSearch
	if s.in(value); len(s.found.Problems) == 0 {
		return nil
	}
	return s.found.sorted()
}

// numberSearch looks for numbers that cannot be checked.
type numberSearch struct {
	path  []string // of what is looked at
	found Error
}

func (s *numberSearch) in(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			s.below(key, member)
		}
	case []any:
		for i, item := range v {
			if isSimple(item) {
				continue
			}
			s.below(strconv.Itoa(i), item)
		}
	case json.Number:
		if rule := numberRule(string(v)); rule != "" {
			s.found.Problems = append(s.found.Problems, Problem{pointer(s.path), rule})
		}
	}
}

func (s *numberSearch) below(key string, value any) {
	s.path = append(s.path, key)
	s.in(value)
	s.path = s.path[:len(s.path)-1]
}

// isSimple reports whether a value needs no search: in long arrays that saves a path for each item.
func isSimple(value any) bool {
	switch v := value.(type) {
	case map[string]any, []any:
		return false
	case json.Number:
		return numberRule(string(v)) == ""
	}
	return true
}

// numberRule says why a number cannot be checked, and what to do; "" if it can.
func numberRule(number string) string {
	if len(number) > maxDigits {
		return fmt.Sprintf("a number may have %d characters at most; give it as a string", maxDigits)
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return ""
	}
	if exponent, err := strconv.Atoi(number[at+1:]); err != nil || exponent < -maxExponent || exponent > maxExponent {
		return fmt.Sprintf("the exponent of a number must be from -%d to %d; give a number within these, or a string", maxExponent, maxExponent)
	}
	return ""
}
