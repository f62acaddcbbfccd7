"""The targets: what the library may cost, as ratios to the kernel's epoll in the same rounds."""

import math
from dataclasses import dataclass, field


CONTROL = ("control-add-del", "control-mod")
REFUSED = "auto-without-uring"


@dataclass
class Target:
    what: str
    bounds: dict  # {measure: the largest value that is allowed}; a measure is time, cpu, or a cost
    values: dict = field(default_factory=dict)  # {measure: (value, where it was measured)}

    @property
    def met(self):
        return all(self.values[m][0] <= bound for m, bound in self.bounds.items() if m in self.values)


def place(key):
    name, series, descriptors, _ = key
    return f"{name}, {series}" + ("" if series.startswith(f"{descriptors:,} ") else f" of {descriptors:,}")


def worst(results, side, keys, to="kernel"):
    """Returns the largest ratio with its place, or None."""
    found = [(r, place(k)) for k in keys if (r := results.ratio(k, side, to)) is not None]
    return max(found) if found else None


def mean(results, side, keys):
    """Returns the geometric mean of the ratios with their number, or None."""
    found = [r for k in keys if (r := results.ratio(k, side))]
    return (math.exp(sum(map(math.log, found)) / len(found)), f"{len(found)} points") if found else None


def added(results, side, name, metrics):
    """Returns the largest cost that the library adds with its place, or None."""
    found = [(results.added(k, side), f"{k[3] if len(metrics) > 1 else k[0]}, {k[1]}") for m in metrics for k in results.keys(m, "cost", name)]
    found = [f for f in found if f[0] is not None]
    return max(found) if found else None


def judge(results):
    """Returns the targets that have a measurement."""
    out = []

    def target(what, bounds, measured):
        values = {m: v for m in bounds if (v := measured(m)) is not None}
        if values:
            out.append(Target(what, {m: bounds[m] for m in values}, values))

    def small(measure):
        # Calls of epoll_ctl have a target of their own, and threads too.
        return [k for k in results.keys(measure, "micro") if k[0] not in (*CONTROL, "pipes-threads")]

    def sockets(measure):
        # Libevent's chain runs over unix sockets.
        return [k for k in small(measure) if k[0].startswith(("tcp-", "unix-", "libevent-"))]

    def both(bound):
        return {"time": bound, "cpu": bound}

    def echo(measure):
        return [k for k in results.keys(measure, "served") if k[0] != "echo-threads"]

    for what, keys in [("small programs", small), ("TCP echo", echo)]:
        target(f"`poll`, {what}: mean", both(1.25), lambda m, keys=keys: mean(results, "poll", keys(m)))
        target(f"`poll`, {what}: worst", both(1.5), lambda m, keys=keys: worst(results, "poll", keys(m)))
    target("`poll`, edges of small programs", both(1.3), lambda m: worst(results, "poll", [k for k in small(m) if k[0].endswith("-edge")]))
    target("`poll`, edges of the TCP echo", both(1.15), lambda m: worst(results, "poll", results.keys(m, "served", "echo-edge")))
    target("`poll` against plain poll: worst", both(1.2), lambda m: worst(results, "poll", small(m) + echo(m), "plain"))
    target("`auto`, small programs: mean", both(0.95), lambda m: mean(results, "auto", small(m)))
    target("`auto`, small programs: worst", both(1.2), lambda m: worst(results, "auto", small(m)))
    for side, called in [("auto", "`auto`"), (REFUSED, "`auto`, no io_uring")]:
        target(f"{called}, whole programs: worst", {"time": 1.02, "cpu": 1.05}, lambda m, side=side: worst(results, side, results.keys(m, "program")))
    target("`auto`, no io_uring, sockets: mean", both(1.25), lambda m: mean(results, REFUSED, sockets(m)))
    target("`auto`, no io_uring, sockets: worst", both(1.5), lambda m: worst(results, REFUSED, sockets(m)))
    for side in ("auto", "poll"):
        target(f"`{side}`, three threads on one instance", both(1.2), lambda m, side=side: worst(
            results, side, results.keys(m, "micro", "pipes-threads") + results.keys(m, "served", "echo-threads")))
    for side, called in [("auto", "`auto`"), (REFUSED, "`auto`, no io_uring")]:
        target(f"{called}, p99 of the echo, 100 active beside 10,000 idle", {"p99": 1.0}, lambda m, side=side: worst(
            results, side, [k for k in results.keys(m, "served", "echo-") if k[0] in ("echo-level", "echo-edge") and k[1] == "100 active" and k[2] > 10000]))
    target("`poll`, MOD, and ADD with DEL", both(0.5), lambda m: worst(
        results, "poll", [k for k in results.keys(m, "micro") if k[0] in CONTROL]))
    for what, bound, unit, name, metrics in [
        ("unwatched `read`, `write`, `close`", 3, "ns", "calls", ("read", "write", "close")),
        ("memory of a registration", 256, "bytes", "registration", ("bytes",)),
        ("start-up", 1e6, "ns", "start-up", ("ns",)),
    ]:
        target(f"`poll`, added: {what}", {unit: bound}, lambda _, name=name, metrics=metrics: added(results, "poll", name, metrics))
    return out


def table(found, number):
    """Returns Markdown."""
    out = ["| target | bound | measured | processor time | where | met |", "|---|---|---|---|---|---|"]
    for t in found:
        main = next(iter(t.values))
        unit = "" if main in ("time", "cpu", "p99") else f" {main}"
        bound = " / ".join(dict.fromkeys(f"{b:,.0f}" if b >= 100 else f"{b:g}" for b in t.bounds.values()))
        where = "; ".join(dict.fromkeys(w for _, w in t.values.values()))
        cpu = number(t.values["cpu"][0]) if "cpu" in t.values else ""
        out.append(f"| {t.what} | {bound}{unit} | {number(t.values[main][0])}{unit} | {cpu} | {where} | {'yes' if t.met else 'no'} |")
    return out
