package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/plot"
)

var figure = plot.Figure{Name: "a", Title: "Cost & speed <more>", Panels: []plot.Panel{
	{Title: "Speed", X: "endpoints", Y: "of raw", LogX: true, Lines: []plot.Line{
		{Name: "SQLite", Points: []plot.Point{{X: 10, Y: 0.5, From: 0.4, To: 0.6}, {X: 100, Y: 0.7}, {X: 1000, Y: 0.6}}},
		{Name: "PostgreSQL", Points: []plot.Point{{X: 10, Y: 0.3}, {X: 1000, Y: 0}}},
	}},
	{Title: "Rows", X: "minutes", Y: "rows", Lines: []plot.Line{{Name: "PostgreSQL", Points: []plot.Point{{X: 1, Y: 20_000}, {X: 9, Y: 1}}}},
		Marks: []plot.Mark{{X: 4, Text: "A"}}},
	{Title: "Nothing"},
}}

func TestSVGIsWellFormed(t *testing.T) {
	t.Parallel()
	d := xml.NewDecoder(bytes.NewReader(figure.SVG()))
	var texts []string
	var paths int
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.CharData:
			texts = append(texts, strings.TrimSpace(string(token)))
		case xml.StartElement:
			if token.Name.Local == "path" {
				paths++
			}
			for _, a := range token.Attr {
				require.NotContains(t, a.Value, "NaN")
				require.NotContains(t, a.Value, "Inf")
			}
		}
	}
	for _, want := range []string{"Cost & speed <more>", "Speed", "endpoints", "of raw", "minutes", "rows", "A", "SQLite", "PostgreSQL", "10", "100", "1k", "20k", "0.6"} {
		require.Contains(t, texts, want)
	}
	require.Greater(t, paths, 10)
}

// A line goes from left to right, and a larger value is further up.
func TestPoints(t *testing.T) {
	t.Parallel()
	svg := string(figure.SVG())
	_, path, ok := strings.Cut(svg, `stroke="var(--c0)" d="M62.0 `)
	require.True(t, ok, "the first point is on the left axis")
	path, _, _ = strings.Cut(path, `"`)
	require.Regexp(t, `^(\d+\.\d)L224\.0 (\d+\.\d)L386\.0 (\d+\.\d)$`, path, "each tenfold is as wide, and the last point is on the right")
}

// The colours follow the reader's preference, and there is no ground.
func TestColoursForBothGrounds(t *testing.T) {
	t.Parallel()
	svg := string(figure.SVG())
	light, dark, ok := strings.Cut(svg, "prefers-color-scheme:dark")
	require.True(t, ok)
	for _, name := range []string{"--ink:#", "--soft:#", "--grid:#", "--c0:#", "--c5:#"} {
		require.Contains(t, light, name)
		require.Contains(t, dark, name)
	}
	require.NotContains(t, svg, "<rect")
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 1: "1", 999: "999", 1500: "1.5k", 50_000: "50k", 5e6: "5M", 262144: "262k", 0.30000000000000004: "0.3"} {
		require.Equal(t, want, plot.Number(v))
	}
}
