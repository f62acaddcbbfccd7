"""Line charts as SVG: a logarithmic x axis, a linear or logarithmic y axis, labels and a legend."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 130, 44, 52
COLOURS = {"kernel": "#444444", "poll": "#1f77b4", "uring": "#2ca02c", "auto": "#d62728", "plain": "#ff7f0e"}


def short(value):
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def steps(low, high, logarithmic):
    """Returns the tick marks of an axis."""
    if logarithmic:
        found = [m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)]
        found = [v for v in found if low <= v * 1.0001 and v <= high * 1.0001]
        return found if len(found) <= 7 else [v for v in found if math.log10(v) % 1 < 1e-9]
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if (high - low) / s <= 8)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def chart(title, x_label, y_label, lines, level=None):
    """`lines` is {name: [(x, y), …]}; `level` draws a dashed line there."""
    points = [p for line in lines.values() for p in line]
    xs, ys = [max(x, 1) for x, _ in points], [y for _, y in points if y > 0] + ([level] if level else [])
    if not ys:
        return None
    x_low, x_high = min(xs), max(max(xs), min(xs) * 1.01)
    logarithmic = max(ys) / min(ys) > 8
    y_low, y_high = (min(ys) / 1.15, max(ys) * 1.15) if logarithmic else (0, max(ys) * 1.1)

    def across(x):
        return LEFT + (math.log(max(x, 1) / x_low) / math.log(x_high / x_low)) * (WIDTH - LEFT - RIGHT)

    def up(y):
        share = math.log(max(y, y_low) / y_low) / math.log(y_high / y_low) if logarithmic else (y - y_low) / (y_high - y_low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def text(x, y, words, more=""):
        return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'

    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           text(LEFT, 24, title, 'font-size="14"'),
           text((LEFT + right) / 2, HEIGHT - 12, x_label, 'text-anchor="middle"'),
           text(0, 0, y_label, f'text-anchor="middle" transform="translate(16 {(TOP + bottom) / 2:.0f}) rotate(-90)"')]
    for y in steps(y_low, y_high, logarithmic):
        out += [f'<line x1="{LEFT}" x2="{right}" y1="{up(y):.1f}" y2="{up(y):.1f}" stroke="#ddd"/>',
                text(LEFT - 6, up(y) + 4, short(round(y, 6)), 'text-anchor="end"')]
    for x in sorted(set(xs)):
        out += [f'<line x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="black"/>',
                text(across(x), bottom + 17, short(x), 'text-anchor="middle"')]
    out += [f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="black"/>']
    if level:
        out += [f'<line x1="{LEFT}" x2="{right}" y1="{up(level):.1f}" y2="{up(level):.1f}" stroke="black" stroke-dasharray="4 3"/>']
    for i, (name, line) in enumerate(lines.items()):
        colour = COLOURS.get(name, "#9467bd")
        line = sorted((x, y) for x, y in line if y > 0)
        out += [f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
                + " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line) + '"/>']
        out += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
        out += [f'<line x1="{right + 14}" x2="{right + 34}" y1="{TOP + 18 * i}" y2="{TOP + 18 * i}" stroke="{colour}" stroke-width="2"/>',
                text(right + 40, TOP + 18 * i + 4, name)]
    return "\n".join([*out, "</svg>", ""])
