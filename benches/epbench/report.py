"""Words, tables and plots of the results of one run."""

from statistics import median

from . import plot, targets

MEASURES = {"time": "elapsed time", "cpu": "processor time", "p50": "median latency", "p99": "99th percentile of latency"}
BUSY = 0.5  # other tasks; the rest of a quiet system is below that


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def conditions(made):
    """How the run was made, for tables and plots."""
    pairs = f"medians of {made['pairs']} pair{'s' * (made['pairs'] != 1)}" + (" of a quick run" if made["quick"] else "")
    return f"{pairs}; {made['machine']}; {made['date']}"


def sentence(made):
    words = f"{conditions(made)[0].upper()}{conditions(made)[1:]}; version {made['version']}, seed {made['seed']}."
    if made["busy"] > BUSY:
        words += f" In the minute before the run {made['busy']:.1f} other tasks were running on average. If they went on, elapsed time includes their work; processor time is the better measure."
    return words


def points(results):
    """Returns Markdown: for each workload one row per point and metric."""
    out, sides = [], results.sides()
    ours = [s for s in sides if s != "kernel"]
    for name, workload in results.workloads.items():
        cost = workload.group == "cost"
        mine = [s for s in ours if any(s in v for k, v in results.runs.items() if k[0] == name)]
        out += ["", f"## {name}", "", f"{workload.title[0].upper()}{workload.title[1:]}; {workload.unit}.", "",
                "| | descriptors | measure | kernel | " + " | ".join(f"{s} {'added' if cost else 'ratio'}" for s in mine) + " |",
                "|---|---|---|---|" + "---|" * len(mine)]
        for key, runs in results.runs.items():
            if key[0] != name or "kernel" not in runs or key[3] == "generator":
                continue
            values = [number(results.added(key, s) if cost else results.ratio(key, s)) for s in mine]
            out.append(f"| {key[1]} | {key[2]:,} | {MEASURES.get(key[3], key[3])} | {number(median(runs['kernel']))} | " + " | ".join(values) + " |")
        busy = [median(results.runs[k]["kernel"]) for k in results.keys("generator") if k[0] == name]
        if busy:
            out += ["", f"The load generator was busy for {100 * max(busy):.0f} % of the time at most, beside the kernel's side."]
    return out


def every_point(results):
    """The whole table, as a page."""
    return "\n".join(["# Every point of a run of the benchmarks", "",
                      "Written by `benches/run`; [performance.md](../performance.md) explains the workloads. Costs of the kernel's epoll, and ratios to it.", "",
                      sentence(results.made), "", *targets.table(targets.judge(results), number), *points(results), ""])


def plots(results):
    """Yields (file name, SVG): cost and ratio for each workload, series and measure that has more than one size."""
    groups = {}
    for key in results.runs:
        groups.setdefault((key[0], key[1], key[3]), []).append(key)
    for (name, series, metric), keys in groups.items():
        workload = results.workloads[name]
        if len({k[2] for k in keys}) < 2 or workload.group == "cost" or metric not in MEASURES:
            continue
        sides = [s for s in results.sides() if any(s in results.runs[k] for k in keys)]
        per = workload.unit.removeprefix("ns ") if metric in ("time", "cpu") else ""
        costs = {s: [(k[2], median(results.runs[k][s])) for k in keys if s in results.runs[k]] for s in sides}
        ratios = {s: [(k[2], r) for k in keys if (r := results.ratio(k, s))] for s in sides if s != "kernel"}
        for what, lines, unit, level in [("cost", costs, f"nanoseconds {per}".strip(), None), ("ratio", ratios, f"{per + ', ' if per else ''}kernel's epoll = 1", 1)]:
            lines = {s: line for s, line in lines.items() if any(y > 0 for _, y in line)}
            if lines:
                words = f"{MEASURES[metric]}, {unit}" if what == "cost" or not per else f"{MEASURES[metric]} {unit}"
                drawing = plot.draw(plot.Chart(f"{workload.title[0].upper()}{workload.title[1:]}; {series}", conditions(results.made), "descriptors",
                                               words, lines, level, "plain" if "plain" in lines and len(lines) > 1 else None))
                yield f"{name}-{series.replace(' ', '-')}-{metric}-{what}.svg", drawing
