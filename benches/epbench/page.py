"""The tables and plots of docs/performance.md, which are those of one run: docs/benchmarks/runs.json."""

import re
import textwrap
from pathlib import Path
from statistics import median

from . import report, targets
from .harness import ROOT, Failure
from .report import number
from .results import load

PAGE = Path("docs/performance.md")
STORED = Path("docs/benchmarks")
PLOTS = [
    ("pipes-random-level-10-active-cpu-cost.svg", "cost of a token over the number of descriptors, level-triggered"),
    ("pipes-random-level-10-active-cpu-ratio.svg", "ratio to the kernel's epoll over the number of descriptors, level-triggered"),
    ("pipes-random-edge-10-active-cpu-ratio.svg", "ratio to the kernel's epoll over the number of descriptors, edge-triggered"),
    ("tcp-random-level-10-active-cpu-ratio.svg", "ratio to the kernel's epoll over the number of TCP connections, level-triggered"),
    ("tcp-random-edge-10-active-cpu-ratio.svg", "ratio to the kernel's epoll over the number of TCP connections, edge-triggered"),
    ("pipes-wandering-10-active-cpu-ratio.svg", "ratio to the kernel's epoll over the number of descriptors, activity that wanders among all of them"),
]
HEADS = {"kernel": "kernel", "auto-without-uring": "`auto`, no io_uring", "plain": "plain poll"}


def head(words, sides):
    return ["| " + " | ".join([*words, *(HEADS.get(s, f"`{s}`") for s in sides)]) + " |", "|" + "---|" * (len(words) + len(sides))]


def used(results, group):
    """The sides, other than the kernel, that workloads of the group ran on."""
    return [s for s in results.sides() if s != "kernel" and any(s in results.runs[k] for k in results.keys("cpu", group))]


def mean_and_worst(results, side, keys):
    mean, worst = targets.mean(results, side, keys), targets.worst(results, side, keys)
    return f"{number(mean[0])} ({number(worst[0])})" if mean else ""


def span(costs):
    low, high = f"{costs[0]:,.0f}", f"{costs[-1]:,.0f}"
    return low if low == high else f"{low} to {high}"


def small(results):
    """One row for each small program: the mean of its ratios of processor time, and the worst."""
    sides = used(results, "micro")
    out = head(["", "what", "kernel, ns"], sides)
    for name, workload in results.workloads.items():
        if workload.group != "micro":
            continue
        keys = [k for k in results.keys("cpu", "micro") if k[0] == name and "kernel" in results.runs[k]]
        costs = sorted(median(results.runs[k]["kernel"]) for k in keys)
        out.append(f"| `{name}` | {workload.title} | {span(costs)} {workload.unit.removeprefix('ns ')} | " + " | ".join(mean_and_worst(results, s, keys) for s in sides) + " |")
    return out


def two(results, key, measures, side):
    """The ratios of two measures, if the point was measured on the side."""
    ratios = [results.ratio((*key[:3], m), side) for m in measures]
    return "" if None in ratios else " / ".join(map(number, ratios))


def servers(results):
    """One row for each server and number of connections: the ratios of time and of processor time."""
    sides = list(dict.fromkeys(s for s in used(results, "served") + used(results, "program") if s != "plain"))
    out = head(["", "connections"], sides)
    for key in results.keys("time", "served") + results.keys("time", "program"):
        name, series, descriptors, _ = key
        cells = [two(results, key, ("time", "cpu"), s) for s in sides]
        active = f", {series}" if results.workloads[name].group == "served" else ""
        out.append(f"| `{name}`{active} | {descriptors:,} | " + " | ".join(cells) + " |")
    return out


def latency(results):
    """One row for each point of the echo server: the ratios of the median and of the 99th percentile."""
    keys = results.keys("p99", "served")
    sides = [s for s in results.sides() if s not in ("kernel", "plain") and any(s in results.runs[k] for k in keys)]
    out = head(["", "connections", "kernel, µs"], sides)
    for key in keys:
        kernel = " / ".join(number(median(results.runs[(*key[:3], m)]["kernel"]) / 1000) for m in ("p50", "p99"))
        out.append(f"| `{key[0]}`, {key[1]} | {key[2]:,} | {kernel} | " + " | ".join(two(results, key, ("p50", "p99"), s) for s in sides) + " |")
    return out


def costs(results):
    """What the library adds to a program, apart from its waits."""
    keys = [k for k in results.runs if results.workloads[k[0]].group == "cost"]
    sides = [s for s in results.sides() if s not in ("kernel", "plain") and any(s in results.runs[k] for k in keys)]
    out = head(["added", ""], sides)
    for key in keys:
        title = results.workloads[key[0]].title
        what = f"`{key[3]}` of an unwatched descriptor, {key[1]}" if key[0] == "calls" else f"{title}, {key[1]}" if key[0] == "registration" else title
        unit = "bytes" if key[3] == "bytes" else "ns"
        out.append(f"| {what} | {unit} | " + " | ".join(number(results.added(key, s)) for s in sides) + " |")
    return out


def pictures(drawn):
    """Two plots in each row."""
    cells = [f"![{words}]({STORED.name}/{name})" for name, words in PLOTS if name in drawn]
    return ["| | |", "|---|---|", *("| " + " | ".join(cells[i:i + 2]) + " |" for i in range(0, len(cells), 2))] if cells else []


SECTIONS = ("conditions", "targets", "small programs", "plots", "servers", "latency", "costs")


def sections(results, drawn):
    return {
        "conditions": textwrap.wrap(report.sentence(results.made), 100),
        "targets": targets.table(targets.judge(results), number),
        "small programs": small(results),
        "plots": pictures(drawn),
        "servers": servers(results),
        "latency": latency(results),
        "costs": costs(results),
    }


def fill(text, parts):
    """Puts each section between its markers."""
    for name, lines in parts.items():
        marked = re.compile(rf"(<!-- benches/run: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = marked.subn(lambda m, lines=lines: "\n".join([m[1], *lines, "", m[2]]), text)
        if count != 1:
            raise Failure(f"{PAGE} has {count} sections that are marked “benches/run: {name}”")
    return text


def check_markers(root=ROOT):
    """Fails if the page has no place for a section: better before the measurements than after them."""
    fill((root / PAGE).read_text(encoding="utf-8"), {name: [] for name in SECTIONS})


def files(results, text):
    """Returns {path: content} of all that is written from the results."""
    drawn = {name: drawing for name, drawing in report.plots(results) if name in dict(PLOTS)}
    return {PAGE: fill(text, sections(results, drawn)), STORED / "table.md": report.every_point(results),
            **{STORED / name: drawing for name, drawing in drawn.items()}}


def stale(root=ROOT):
    """Returns the files that are not what the stored results say."""
    wanted = files(load(root / STORED / "runs.json"), (root / PAGE).read_text(encoding="utf-8"))
    wrong = [path for path, content in wanted.items() if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != content]
    return wrong + [p.relative_to(root) for p in sorted((root / STORED).glob("*.svg")) if p.relative_to(root) not in wanted]


def write(runs, root=ROOT):
    """Takes the results in the file `runs` for those of the page."""
    stored = root / STORED
    text = runs.read_text(encoding="utf-8")
    stored.mkdir(parents=True, exist_ok=True)
    wanted = files(load(runs), (root / PAGE).read_text(encoding="utf-8"))
    (stored / "runs.json").write_text(text, encoding="utf-8")
    for old in stored.glob("*.svg"):
        old.unlink()
    for path, content in wanted.items():
        (root / path).write_text(content, encoding="utf-8")
