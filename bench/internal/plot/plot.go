// Package plot draws lines as SVG that can be read on light and on dark ground: it has no
// ground of its own, and its colours follow the reader's preference.
package plot

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Figure is one picture with panels beside each other, which share their x axis and colours.
type Figure struct {
	// Name is the name of its file, without .svg.
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Panels []Panel `json:"panels"`
}

// Panel is one pair of axes. Y begins at 0.
type Panel struct {
	Title string `json:"title"`
	X     string `json:"x"` // the label of the x axis, with its unit
	Y     string `json:"y"`
	// LogX makes each tenfold of x as wide as the next. All x are then greater than 0.
	LogX  bool   `json:"logX,omitempty"`
	Lines []Line `json:"lines"`
	// Marks are vertical lines with a letter or a short word beside them.
	Marks []Mark `json:"marks,omitempty"`
}

// Line is one series.
type Line struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is one value. From and To are the least and the most of what it is the median of, both
// 0 if there is only one.
type Point struct {
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	From float64 `json:"from,omitempty"`
	To   float64 `json:"to,omitempty"`
}

// Mark is something that happened at x.
type Mark struct {
	X    float64 `json:"x"`
	Text string  `json:"text"`
}

// The measures are in the units of the picture. Each panel is as wide as the other ones.
const (
	panelWidth, panelHeight = 400, 290
	left, right             = 62, 14
	top, bottom             = 44, 46
	titleHeight             = 30
	legendLine              = 20
	inner, innerHeight      = panelWidth - left - right, panelHeight - top - bottom
)

// style names the colours once for each ground. The colours of the lines are told apart with
// any of the usual forms of colour blindness (Okabe and Ito), and each has its own dashes.
const style = `<style>
svg{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;--ink:#1f2328;--soft:#59636e;--grid:#d1d9e0;--c0:#0072b2;--c1:#b34e00;--c2:#00795b;--c3:#a3407d;--c4:#8a6d00;--c5:#2b6cb0}
@media(prefers-color-scheme:dark){svg{--ink:#f0f6fc;--soft:#9198a1;--grid:#3d444d;--c0:#56b4e9;--c1:#f0883e;--c2:#2fc79b;--c3:#e58fc4;--c4:#e3c34a;--c5:#9ecbff}}
text{fill:var(--ink)}.s{fill:var(--soft)}.t{font-weight:600}.g{stroke:var(--grid);stroke-width:1}.m{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 3}
.l{fill:none;stroke-width:2;stroke-linejoin:round}
</style>
`

var dashes = []string{"", "7 4", "2 3", "10 3 2 3", "4 2", "1 4"}

const colours = 6

// SVG returns the picture.
func (f Figure) SVG() []byte {
	names := f.names()
	width := panelWidth * max(1, len(f.Panels))
	legend, lines := legend(names, width)
	height := titleHeight + panelHeight + legendLine*lines + 6
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString(f.Title))
	b.WriteString(style)
	fmt.Fprintf(&b, `<text class="t" x="%d" y="20" font-size="15">%s</text>`+"\n", 10, html.EscapeString(f.Title))
	for i, p := range f.Panels {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i*panelWidth, titleHeight)
		p.draw(&b, names)
		b.WriteString("</g>\n")
	}
	b.WriteString(legend)
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// names returns the names of all lines, each once. The place of a name decides its colour.
func (f Figure) names() []string {
	var names []string
	for _, p := range f.Panels {
		for _, l := range p.Lines {
			if !slices.Contains(names, l.Name) {
				names = append(names, l.Name)
			}
		}
	}
	return names
}

// legend returns the names with their lines, beside each other as far as there is room, and on
// how many lines they stand.
func legend(names []string, width int) (svg string, lines int) {
	var b strings.Builder
	x, lines := 14, 1
	for i, name := range names {
		room := 32 + 7*len([]rune(name)) + 24 // of a sample, the name and a space
		if x > 14 && x+room > width {
			x, lines = 14, lines+1
		}
		y := titleHeight + panelHeight + legendLine*(lines-1) + 8
		fmt.Fprintf(&b, `<path class="l" %s d="M%d %dh26"/><text x="%d" y="%d">%s</text>`+"\n", stroke(i), x, y, x+32, y+4, html.EscapeString(name))
		x += room
	}
	return b.String(), lines
}

func stroke(i int) string {
	s := fmt.Sprintf(`stroke="var(--c%d)"`, i%colours)
	if d := dashes[i%len(dashes)]; d != "" {
		s += fmt.Sprintf(` stroke-dasharray="%s"`, d)
	}
	return s
}

// axis maps values to places from 0 to 1.
type axis struct {
	from, to float64
	log      bool
	ticks    []float64
}

func (a axis) at(v float64) float64 {
	if a.log {
		return (math.Log10(v) - math.Log10(a.from)) / (math.Log10(a.to) - math.Log10(a.from))
	}
	return (v - a.from) / (a.to - a.from)
}

func (p Panel) axes() (x, y axis) {
	x, y = axis{from: math.Inf(1), to: math.Inf(-1), log: p.LogX}, axis{}
	for _, l := range p.Lines {
		for _, pt := range l.Points {
			x.from, x.to = min(x.from, pt.X), max(x.to, pt.X)
			y.to = max(y.to, pt.Y, pt.To)
		}
	}
	if x.from > x.to { // nothing to draw
		x.from, x.to = 1, 10
	}
	if x.from == x.to {
		x.from, x.to = x.from/2, x.to*2+1
	}
	y.to = cmp.Or(y.to, 1)
	y.ticks = ticks(0, y.to, 4)
	y.to = max(y.to, y.ticks[len(y.ticks)-1]) * 1.04
	x.ticks = ticks(x.from, x.to, 6)
	if values := p.values(); p.LogX || len(values) <= 6 {
		x.ticks = values
	}
	return x, y
}

// values returns the x of all points: if they are few, they are the ticks.
func (p Panel) values() []float64 {
	var values []float64
	for _, l := range p.Lines {
		for _, pt := range l.Points {
			values = append(values, pt.X)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// ticks returns about n round numbers from one value to another.
func ticks(from, to float64, n int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/float64(n))))
	for _, factor := range []float64{1, 2, 2.5, 5, 10} {
		if (to-from)/(step*factor) <= float64(n)+0.5 {
			step *= factor
			break
		}
	}
	var all []float64
	for v := math.Ceil(from/step) * step; v <= to+step/1e6; v += step {
		all = append(all, v)
	}
	return all
}

func (p Panel) draw(b *strings.Builder, names []string) {
	xAxis, yAxis := p.axes()
	px := func(v float64) float64 { return left + inner*xAxis.at(v) }
	py := func(v float64) float64 { return top + innerHeight*(1-yAxis.at(v)) }
	fmt.Fprintf(b, `<text class="t" x="%d" y="16">%s</text><text class="s" x="%d" y="34">%s</text>`+"\n",
		10, html.EscapeString(p.Title), 10, html.EscapeString(p.Y))
	fmt.Fprintf(b, `<text class="s" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", left+inner/2, panelHeight-8, html.EscapeString(p.X))
	for _, v := range yAxis.ticks {
		fmt.Fprintf(b, `<path class="g" d="M%d %.1fh%d"/><text class="s" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, py(v), inner, left-6, py(v)+4, Number(v))
	}
	last := math.Inf(-1)
	for _, v := range xAxis.ticks {
		if px(v)-last < 34 {
			continue // the numbers would run into each other
		}
		last = px(v)
		fmt.Fprintf(b, `<path class="g" d="M%.1f %dv5"/><text class="s" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			px(v), top+innerHeight, px(v), top+innerHeight+18, Number(v))
	}
	p.marks(b, px)
	for _, l := range p.Lines {
		l.draw(b, slices.Index(names, l.Name), px, py)
	}
}

func (p Panel) marks(b *strings.Builder, px func(float64) float64) {
	for i, m := range p.Marks {
		y := top + 8 + 11*(i%4) // the words of neighbours stand below each other
		fmt.Fprintf(b, `<path class="m" d="M%.1f %dV%d"/><text class="s" font-size="10" x="%.1f" y="%d">%s</text>`+"\n",
			px(m.X), top, top+innerHeight, px(m.X)+2, y, html.EscapeString(m.Text))
	}
}

func (l Line) draw(b *strings.Builder, colour int, px, py func(float64) float64) {
	var path strings.Builder
	for i, pt := range l.Points {
		command := 'L'
		if i == 0 {
			command = 'M'
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", command, px(pt.X), py(pt.Y))
	}
	fmt.Fprintf(b, `<path class="l" %s d="%s"/>`+"\n", stroke(colour), path.String())
	if len(l.Points) > 40 {
		return // the line is enough
	}
	for _, pt := range l.Points {
		fmt.Fprintf(b, `<circle fill="var(--c%d)" cx="%.1f" cy="%.1f" r="3"/>`+"\n", colour%colours, px(pt.X), py(pt.Y))
		if pt.To > pt.From {
			fmt.Fprintf(b, `<path stroke="var(--c%d)" d="M%.1f %.1fV%.1f"/>`+"\n", colour%colours, px(pt.X), py(pt.From), py(pt.To))
		}
	}
}

// Number returns a value for people: 50k, 1M, 0.25.
func Number(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.size {
			return strconv.FormatFloat(round(v/unit.size), 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(round(v), 'f', -1, 64)
}

// round keeps three digits.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}
