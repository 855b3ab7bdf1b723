package main

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) idCommand() *cobra.Command {
	var prefix string
	cmd := &cobra.Command{
		Use:   "id ID...",
		Short: "Show an id as the UUID that databases keep, and a UUID as an id",
		Long: `Show an id such as evt_… as the UUID that stands in a database of PostgreSQL, and as the
bytes that stand in one of SQLite; or a UUID as an id. The time is that at which the id
was made. docs/operating.md has queries with them.`,
		Example: `  alotwebhook id evt_01jcc7wjz3e4qv8x5k2m9n6p0r
  alotwebhook id --prefix evt 0193187e-4be3-712f-b474-b31513535818`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.does(func(_ *cobra.Command, args []string) error {
			for _, given := range args {
				shown, err := showID(given, prefix)
				if err != nil {
					return usageError{err}
				}
				fmt.Fprintln(a.out, shown)
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&prefix, "prefix", "evt", "what the id of a UUID begins with: evt, dlv, wh, …")
	return cmd
}

// showID returns the id, its UUID, its bytes in hexadecimal digits, and its time.
func showID(given, prefix string) (string, error) {
	bytes, err := idBytes(&given, prefix)
	if err != nil {
		return "", err
	}
	digits := hex.EncodeToString(bytes)
	uuid := strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
	milli := new(big.Int).SetBytes(bytes[:6]).Int64()
	return fmt.Sprintf("%s  %s  x'%s'  %s", given, uuid, digits, time.UnixMilli(milli).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

// crockford has the digits of an id, in the order of their values.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// idBytes returns the 128 bits of an id or a UUID. In the place of a UUID it puts the id.
func idBytes(given *string, prefix string) ([]byte, error) {
	*given = strings.ToLower(strings.TrimSpace(*given))
	number := new(big.Int)
	at := strings.LastIndexByte(*given, '_')
	if at < 0 {
		b, err := hex.DecodeString(strings.ReplaceAll(*given, "-", ""))
		if err != nil || len(b) != 16 {
			return nil, fmt.Errorf("%q is neither an id such as evt_01jcc7wjz3e4qv8x5k2m9n6p0r nor a UUID", *given)
		}
		*given = prefix + "_" + inCrockford(number.SetBytes(b))
		return b, nil
	}
	suffix := (*given)[at+1:]
	if len(suffix) != 26 || suffix[0] > '7' {
		return nil, fmt.Errorf("%q is no id: 26 characters follow its prefix, and the first is 0 to 7", *given)
	}
	for _, c := range suffix {
		digit := strings.IndexRune(crockford, c)
		if digit < 0 {
			return nil, fmt.Errorf("%q is no id: its characters are %s", *given, crockford)
		}
		number.Add(number.Lsh(number, 5), big.NewInt(int64(digit)))
	}
	return number.FillBytes(make([]byte, 16)), nil
}

func inCrockford(number *big.Int) string {
	number = new(big.Int).Set(number)
	digits := make([]byte, 26)
	for i := range digits {
		low := new(big.Int).And(number, big.NewInt(31)).Int64()
		digits[len(digits)-1-i] = crockford[low]
		number.Rsh(number, 5)
	}
	return string(digits)
}
