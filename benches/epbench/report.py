"""Evaluates the pairs of runs: table, CSV, plots, and the targets."""

import csv
import math
from statistics import median

from .plot import chart


class Results:
    """All runs: {(workload, series, descriptors, metric): {side: [cost of each round]}}."""

    def __init__(self):
        self.runs, self.workloads = {}, {}

    def add(self, workload, point, side, costs):
        self.workloads[workload.name] = workload
        for metric, cost in costs.items():
            self.runs.setdefault((workload.name, point.series, point.descriptors, metric), {}).setdefault(side, []).append(cost)

    def ratio(self, key, side, to="kernel"):
        """Returns the median of the ratios of the pairs, or None without a pair."""
        sides = self.runs.get(key, {})
        pairs = [a / b for a, b in zip(sides.get(side, []), sides.get(to, [])) if b > 0]
        return median(pairs) if pairs else None

    def added(self, key, side):
        sides = self.runs.get(key, {})
        pairs = [a - b for a, b in zip(sides.get(side, []), sides.get("kernel", []))]
        return median(pairs) if pairs else None

    def keys(self, metric, group=None, name=""):
        return [k for k in self.runs if k[3] == metric and k[0].startswith(name) and group in (None, self.workloads[k[0]].group)]

    def sides(self):
        return list(dict.fromkeys(side for sides in self.runs.values() for side in sides))


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def tables(results):
    """Returns Markdown: for each workload one row per point and metric."""
    out, sides = [], results.sides()
    ours = [s for s in sides if s != "kernel"]
    for name, workload in results.workloads.items():
        cost = workload.group == "cost"
        mine = [s for s in ours if any(s in v for k, v in results.runs.items() if k[0] == name)]
        out += ["", f"**{name}**: {workload.title} ({workload.unit})", "",
                "| | descriptors | metric | kernel | " + " | ".join(f"{s} {'added' if cost else 'ratio'}" for s in mine) + " |",
                "|---|---|---|---|" + "---|" * len(mine)]
        for key, runs in results.runs.items():
            if key[0] != name or "kernel" not in runs or key[3] == "generator":
                continue
            values = [number(results.added(key, s) if cost else results.ratio(key, s)) for s in mine]
            out.append(f"| {key[1]} | {key[2]:,} | {key[3]} | {number(median(runs['kernel']))} | " + " | ".join(values) + " |")
        busy = [median(results.runs[k]["kernel"]) for k in results.keys("generator") if k[0] == name]
        if busy:
            out += ["", f"The generator was busy for {100 * max(busy):.0f} % of the time at most, beside the kernel's side."]
    return out


def write_csv(results, path):
    with open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["workload", "series", "descriptors", "metric", "side", "round", "cost", "unit"])
        for (name, series, descriptors, metric), sides in results.runs.items():
            for side, costs in sides.items():
                for i, cost in enumerate(costs):
                    writer.writerow([name, series, descriptors, metric, side, i, f"{cost:.3f}", results.workloads[name].unit])


def write_plots(results, directory):
    """Writes two charts for each workload, series and metric that has more than one size."""
    written = []
    groups = {}
    for key in results.runs:
        groups.setdefault((key[0], key[1], key[3]), []).append(key)
    for (name, series, metric), keys in groups.items():
        workload = results.workloads[name]
        if len({k[2] for k in keys}) < 2 or workload.group == "cost" or metric == "generator":
            continue
        sides = [s for s in results.sides() if any(s in results.runs[k] for k in keys)]
        costs = {s: [(k[2], median(results.runs[k][s])) for k in keys if s in results.runs[k]] for s in sides}
        ratios = {s: [(k[2], results.ratio(k, s)) for k in keys if results.ratio(k, s)] for s in sides if s != "kernel"}
        for what, lines, label, level in [("cost", costs, f"{metric}, {workload.unit}", None), ("ratio", ratios, f"{metric}, ratio to the kernel's epoll", 1)]:
            drawing = chart(f"{workload.title}; {series}", "descriptors", label, lines, level) if lines else None
            if drawing:
                path = directory / f"{name}-{series.replace(' ', '-')}-{metric}-{what}.svg"
                path.write_text(drawing, encoding="utf-8")
                written.append(path)
    return written


def targets(results, by):
    """Returns a list of targets: (what, bound, value, where, met). Targets without a measurement
    are omitted. `by` is time or cpu, for the micro workloads."""
    out = []

    def worst(what, bound, values):
        """`values` is [(value, where)]; the largest must not exceed the bound."""
        values = [(v, w) for v, w in values if v is not None]
        if values:
            value, where = max(values)
            out.append((what, f"at most {bound:g}", value, where, value <= bound))

    def ratios(side, keys, to="kernel"):
        return [(results.ratio(k, side, to), f"{k[0]}, {k[1]}, {k[2]:,}") for k in keys]

    micro = results.keys(by, "micro")
    control = [k for k in micro if k[0] in ("control-mod", "control-add-del")]
    for side in [s for s in results.sides() if s not in ("kernel", "plain")]:
        if side == "uring":
            all_of_it = ratios(side, [k for k in micro if 16 <= k[2] <= 10000])
            values = [v for v, _ in all_of_it if v]
            if values:
                mean = math.exp(sum(map(math.log, values)) / len(values))
                out.append((f"{side}: geometric mean of the micro workloads", "at most 0.9", mean, f"{len(values)} points", mean <= 0.9))
            worst(f"{side}: any micro workload", 1.15, all_of_it)
        if side == "poll":
            worst(f"{side}: up to 32 descriptors", 1.1, ratios(side, [k for k in micro if k[2] <= 32]))
            everything = micro + results.keys(by, "served")
            worst(f"{side}: against plain poll, any load", 1.2, ratios(side, everything, "plain"))
            worst(f"{side}: against plain poll, 4,000 descriptors or more, at most 10 active", 0.3, ratios(
                side, [k for k in micro if k[2] >= 4000 and k[1] in ("1 active", "10 active", "idle pipes")], "plain"))
        worst(f"{side}: MOD, and ADD with DEL", 0.5, ratios(side, control))
        if side in ("poll", "auto"):
            worst(f"{side}: whole programs, time a request", 1 / (1 if side == "auto" else 0.95), ratios(side, results.keys("time", "program")))
            worst(f"{side}: whole programs, processor time a request", 1.05, ratios(side, results.keys("cpu", "program")))
        if side == "auto":
            worst(f"{side}: p99 of the echo with 10,000 idle", 1.2, ratios(
                side, [k for k in results.keys("p99", "served", "echo-") if k[2] >= 10000]))

        def added(metric, name):
            return [(results.added(k, side), f"{k[0]}, {k[1]}, {k[3]}") for k in results.keys(metric, "cost", name)]

        worst(f"{side}: ns added to read, write or close", 3, [v for m in ("read", "write", "close") for v in added(m, "calls")])
        worst(f"{side}: bytes a registration", 256, added("bytes", "registration"))
        worst(f"{side}: ns added to start-up", 1e6, added("ns", "start-up"))
        worst(f"{side}: bytes of the library", 600e3, added("bytes", "size"))
    return out


def target_table(found):
    out = ["| target | bound | measured | where it is worst | met |", "|---|---|---|---|---|"]
    for what, bound, value, where, met in found:
        out.append(f"| {what} | {bound} | {number(value)} | {where} | {'yes' if met else 'no'} |")
    return out
