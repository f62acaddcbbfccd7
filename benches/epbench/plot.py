"""Line charts as SVG: a logarithmic x axis, a linear or logarithmic y axis, labels and a legend."""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 680, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 76, 52
COLOURS = {"kernel": "#444444", "poll": "#1f77b4", "uring": "#2ca02c", "auto": "#d62728", "auto-without-uring": "#e377c2", "signal": "#9467bd", "plain": "#ff7f0e"}
OTHER = "#8c564b"
NAMES = {"kernel": "kernel's epoll", "auto-without-uring": "auto, no io_uring", "plain": "plain poll"}
UNDER = {"uring": "auto", "poll": "auto-without-uring"}  # lines that another one often lies on, so they are wider
LINEAR_UP_TO = 6  # the largest ratio of the ends of a linear y axis


@dataclass
class Chart:
    title: str
    subtitle: str  # the run: pairs, machine, date
    x_label: str
    y_label: str
    lines: dict  # {name: [(x, y), …]}
    level: float | None = None  # where the kernel is, in a chart of ratios
    beyond: str | None = None  # the line that the y axis does not have to reach


def short(value):
    return f"{value / 1e6:g} million" if value >= 1e6 else f"{value:,.0f}" if value >= 100 else f"{value:g}"


def steps(low, high, logarithmic):
    """Returns the tick marks of an axis."""
    if logarithmic:
        found = [m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)]
        found = [v for v in found if low <= v * 1.0001 and v <= high * 1.0001]
        return found if len(found) <= 7 else [v for v in found if abs(math.log10(v) - round(math.log10(v))) < 1e-9]
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if (high - low) / s <= 8)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


class Axes:
    """The two axes, from data to the picture."""

    def __init__(self, chart):
        everything = [p for line in chart.lines.values() for p in line]
        shown = [p for name, line in chart.lines.items() if name != chart.beyond for p in line] or everything
        self.xs = sorted({max(x, 1) for x, _ in everything})
        ys = [y for _, y in shown if y > 0] + ([chart.level] if chart.level else [])
        top = max(y for _, y in everything)
        if top <= 1.3 * max(ys):
            ys.append(top)
        self.x_low, self.x_high = self.xs[0], max(self.xs[-1], self.xs[0] * 1.01)
        self.logarithmic = max(ys) / min(ys) > LINEAR_UP_TO
        if self.logarithmic:
            self.y_low, self.y_high = min(ys) / 1.15, max(ys) * 1.2
        else:
            # A ratio is compared with its level, a cost with nothing.
            self.y_low, self.y_high = 0.85 * min(ys) if chart.level else 0, 1.08 * max(ys)

    def across(self, x):
        return LEFT + math.log(max(x, 1) / self.x_low) / math.log(self.x_high / self.x_low) * (WIDTH - LEFT - RIGHT)

    def up(self, y):
        if self.logarithmic:
            share = math.log(max(y, self.y_low) / self.y_low) / math.log(self.y_high / self.y_low)
        else:
            share = (y - self.y_low) / (self.y_high - self.y_low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def place(self, point):
        return f"{self.across(point[0]):.1f},{self.up(point[1]):.1f}"


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def frame(chart, axes):
    """The background, the words, and the axes with their tick marks."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    yield f'<clipPath id="inside"><rect x="{LEFT}" y="{TOP - 4}" width="{right - LEFT + 4}" height="{bottom - TOP + 4}"/></clipPath>'
    yield text(16, 24, chart.title, 'font-size="15"')
    yield text(16, 43, chart.subtitle, 'fill="#555" font-size="11"')
    yield text((LEFT + right) / 2, HEIGHT - 12, chart.x_label, 'text-anchor="middle"')
    yield text(0, 0, chart.y_label, f'text-anchor="middle" transform="translate(18 {(TOP + bottom) / 2:.0f}) rotate(-90)"')
    for y in steps(axes.y_low, axes.y_high, axes.logarithmic):
        yield f'<line x1="{LEFT}" x2="{right}" y1="{axes.up(y):.1f}" y2="{axes.up(y):.1f}" stroke="#ddd"/>'
        yield text(LEFT - 8, axes.up(y) + 4, short(round(y, 6)), 'text-anchor="end"')
    for x in axes.xs:
        yield f'<line x1="{axes.across(x):.1f}" x2="{axes.across(x):.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="black"/>'
        yield text(axes.across(x), bottom + 18, f"{x:,}", 'text-anchor="middle"')
    yield f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="black"/>'
    if chart.level:
        yield f'<line x1="{LEFT}" x2="{right}" y1="{axes.up(chart.level):.1f}" y2="{axes.up(chart.level):.1f}" stroke="#444444" stroke-width="2"/>'


def width_of(name, lines):
    return 6 if UNDER.get(name) in lines else 2


def curve(axes, name, line, dashed, width):
    """A line, as far as it is inside the axes, and a dot for each of its points."""
    colour = COLOURS.get(name, OTHER)
    more = ' stroke-dasharray="6 3"' if dashed else ' stroke-opacity="0.45"' if width > 2 else ""
    yield (f'<polyline clip-path="url(#inside)" fill="none" stroke="{colour}" stroke-width="{width}"{more} points="'
           + " ".join(map(axes.place, line)) + '"/>')
    for x, y in line:
        if y <= axes.y_high:
            yield f'<circle cx="{axes.across(x):.1f}" cy="{axes.up(y):.1f}" r="{min(1 + width, 5)}" fill="{colour}"{more.replace("stroke-opacity", "fill-opacity") * (width > 2)}/>'


def key(i, name, dashed, width):
    """A line of the legend."""
    right, y = WIDTH - RIGHT, TOP + 6 + 20 * i
    more = ' stroke-dasharray="6 3"' if dashed else ' stroke-opacity="0.45"' if width > 2 else ""
    yield f'<line x1="{right + 14}" x2="{right + 36}" y1="{y}" y2="{y}" stroke="{COLOURS.get(name, OTHER)}" stroke-width="{width}"{more}/>'
    yield text(right + 42, y + 4, NAMES.get(name, name))


def draw(chart):
    """Returns the chart as SVG."""
    axes = Axes(chart)
    out = list(frame(chart, axes))
    names = [*(["kernel"] if chart.level else []), *chart.lines]
    for i, name in enumerate(names):
        out += key(i, name, name == chart.beyond, width_of(name, chart.lines))
    for name, line in chart.lines.items():
        line = sorted((x, y) for x, y in line if y > 0)
        out += curve(axes, name, line, name == chart.beyond, width_of(name, chart.lines))
        # Where the line has left the picture, its values stand at the upper edge.
        for x, value in line:
            if value > axes.y_high:
                anchor = "start" if x <= axes.x_low else "end" if x >= axes.x_high else "middle"
                words = f"↑ {float(f'{value:.3g}'):,g}"
                out.append(text(axes.across(x), TOP - 8, words, f'text-anchor="{anchor}" fill="{COLOURS.get(name, OTHER)}" font-weight="bold"'))
    return "\n".join([*out, "</svg>", ""])
