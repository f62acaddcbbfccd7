"""The workloads. A workload has points; a point is measured on one side at a time, and its
measure returns costs. Less is better."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import programs
from .harness import Failure, Load, Server, read_line, run


@dataclass
class Settings:
    """Settings from the command line."""

    out: Path  # directory of the programs
    library: Path
    sides: dict
    pins: object
    sizes: dict  # {active descriptors: numbers of all descriptors}
    idle: dict  # {active connections of the echo: numbers of idle ones}
    seconds: float
    served_seconds: float
    warm_up: int  # waits
    warm_up_requests: int  # of servers
    connections: int
    seed: int
    room: int  # descriptors that a process may open
    events: int  # room for events in a wait

    @property
    def some_sizes(self):
        """The sizes with ten active descriptors, of workloads that hardly depend on how many are."""
        return {10: self.sizes[10]} if 10 in self.sizes else self.sizes


@dataclass
class Point:
    series: str
    descriptors: int
    measure: Callable  # takes a side; returns {metric: cost}
    plain: bool = False  # whether the program can also use poll(2)


@dataclass
class Workload:
    name: str
    title: str
    unit: str
    points: list
    group: str = "micro"  # or served, program, cost
    metrics: tuple = ("time", "cpu")
    without_uring: bool = False  # whether it is also measured where io_uring is refused


def same(what, got, wanted):
    # The counters of the threads are read one after another, so their sums differ by a few events.
    if abs(got - wanted) > 0.005 * wanted:
        raise Failure(f"{what} is {got} and not {wanted}: the sides do not do the same work")


def micro(settings, program, arguments, side, per_event=None, free=False, warm_up=None):
    """One run of a program that measures itself, after the usual waits or others."""
    words = [settings.out / program, *([] if "--seconds" in arguments else ["--seconds", settings.seconds]), *arguments]
    if "--warm-up" not in arguments:
        # Plain poll keeps no state between waits, so only the processor's caches have to warm up.
        waits = settings.warm_up if warm_up is None else warm_up
        words += ["--warm-up", min(waits, 50) if side.name == "plain" else waits]
    if side.name == "plain":
        words += ["--with", "poll"]
    line = run(words, side, settings.pins["free" if free else "server"])
    for name, wanted in (per_event or {}).items():
        # Each read moved one token; each report was followed by one MOD.
        same(f"{program} on {side.name}: {name}", line[name], line[wanted] if isinstance(wanted, str) else wanted)
    return {"time": line["whole_ns" if "--register" in arguments else "ns"], "cpu": line["cpu_ns"]}


def pipes(settings):
    def workload(name, title, arguments, plain=False, wander=False, free=False, sizes=settings.sizes, without_uring=False):
        points = []
        for active, numbers in sizes.items():
            for size in numbers:
                if active > size:
                    continue
                # Both ends of an active pipe are in this process.
                in_use = min(size, (settings.room - 500) // 2) if wander else active
                words = ["--idle", size - in_use, "--active", in_use, "--tokens", active, "--seed", settings.seed, *arguments]
                if not free:
                    # Threads that share an instance leave events for each other.
                    words += ["--max", settings.events]
                checks = {"collected": active, **({"mods": "reports"} if "oneshot" in arguments else {})}
                # Where activity wanders all descriptors are alike, and a wait takes long.
                waits = min(settings.warm_up, 200) if wander else None
                points.append(Point(f"{active} active", size,
                                    lambda side, w=words, c=checks, n=waits: micro(settings, "pipes", w, side, c, free, n), plain))
        return Workload(name, title, "ns a token", points, without_uring=without_uring)

    yield workload("pipes-ring-level", "tokens around a ring of pipes, level-triggered", ["--order", "ring"], True, sizes=settings.some_sizes)
    yield workload("pipes-random-level", "tokens to random pipes, level-triggered", [], True)
    yield workload("pipes-random-edge", "tokens to random pipes, edge-triggered", ["--mode", "edge"])
    yield workload("pipes-random-oneshot", "tokens to random pipes, one-shot, a MOD for each event", ["--mode", "oneshot"])
    yield workload("pipes-wandering", "tokens to random pipes among all of them", [], True, wander=True, without_uring=True)
    yield workload("pipes-cold", "the first 2,000 tokens to random pipes, level-triggered", ["--warm-up", 0, "--events", 2000], True)
    yield workload("pipes-threads", "three threads on one instance, one-shot", ["--mode", "oneshot", "--threads", 3], free=True)
    # Among few descriptors activity hardly wanders.
    wide = {active: [size for size in numbers if size >= 1000] for active, numbers in settings.some_sizes.items()}
    for kind, what in [("tcp", "TCP connections"), ("unix", "unix sockets")]:
        for mode in ("level", "edge"):
            words = ["--kind", kind, "--mode", mode]
            yield workload(f"{kind}-random-{mode}", f"tokens to random {what}, {mode}-triggered", words, mode == "level",
                           sizes=settings.some_sizes, without_uring=True)
            yield workload(f"{kind}-wandering-{mode}", f"tokens to random {what} among all of them, {mode}-triggered", words, mode == "level", True,
                           sizes=wide, without_uring=True)


LONG_ROUNDS = 0.1  # seconds, for several rounds that register 10,000 events anew
UNTIL_PARKED = 600  # waits until the library knows which of 10,000 descriptors the chain does not reach


def chain(settings):
    for name, title, arguments in [
        ("libevent-level", "libevent's chained writes, level-triggered", []),
        ("libevent-edge", "libevent's chained writes, edge-triggered", ["--edge"]),
        ("libevent-register", "libevent's chained writes, every event taken out and put in again before each round",
         ["--register", "--seconds", max(settings.seconds, LONG_ROUNDS)]),
    ]:
        points = []
        for active, numbers in (settings.some_sizes if "--register" in arguments else settings.sizes).items():
            for size in numbers:
                size = min(size, (settings.room - 500) // 2)  # both ends are in this process
                if active > size or (points and points[-1].descriptors == size and points[-1].series == f"{active} active"):
                    continue
                words = ["--pairs", size, "--active", active, "--writes", max(100, active), "--seed", settings.seed, *arguments]
                waits = max(settings.warm_up, UNTIL_PARKED) if size > 1000 else settings.warm_up
                points.append(Point(f"{active} active", size, lambda side, w=words, n=waits: micro(settings, "chain", w, side, warm_up=n),
                                    "--edge" not in arguments))
        yield Workload(name, title, "ns a byte", points, without_uring="--register" not in arguments)


def control(settings):
    for name, title, unit, arguments in [
        ("control-add-del", "ADD and DEL of one pipe", "ns a pair", ["--op", "add-del"]),
        ("control-mod", "MOD", "ns a call", ["--op", "mod"]),
        ("control-mod-wait", "MOD, and a wait after every 16", "ns a call", ["--op", "mod", "--wait-every", 16]),
        ("wait-one-ready", "a wait that finds one ready among many", "ns a wait", ["--op", "one-ready"]),
        ("wait-max-one", "waits with room for one event where 16 are ready", "ns a wait", ["--op", "max-one"]),
    ]:
        # Where a wait always finds something, the silent ones of 10,000 are parked late.
        waits = max(settings.warm_up, 3000) if "max-one" in arguments else settings.warm_up
        points = [
            Point("idle pipes", size, lambda side, w=[*arguments, "--descriptors", size], n=waits: micro(settings, "control", w, side, warm_up=n),
                  name == "wait-one-ready")
            for size in max(settings.sizes.values(), key=len)
        ]
        yield Workload(name, title, unit, points)


def served(settings, server_words, active, load_words, side, pins=("server", "generator")):
    """One run of the echo server with its load."""
    words = [settings.out / "echo", *server_words] + (["--with", "poll"] if side.name == "plain" else [])
    if "--threads" not in server_words:
        words += ["--max", settings.events]
    with Server(words, side, settings.pins[pins[0]]) as server:
        port = server.port = server.first_line().split()[1]
        server.check()
        costs = measured(settings, server, ["--port", port, *load_words], active, pins[1])
    line = read_line(server.output, "echo")
    made = costs.pop("connects")
    if line["accepted"] != made or line["closed"] != made:
        raise Failure(f"{side.name}: the server accepted {line['accepted']:.0f} connections and closed {line['closed']:.0f} where {made} were made")
    return costs


def measured(settings, server, words, active, pin="generator", warm_up_requests=0):
    """One run of the load, after at least as many requests as are given: its time, and the
    processor time of the server meanwhile."""
    sockets, _ = server.descriptors()
    # A wait finds several requests, and a connection that is made for one takes several waits.
    requests = max(warm_up_requests, settings.warm_up_requests // (10 if "--churn" in words or active == 1 else 1))
    words = [settings.out / "load", *words, "--active", active, "--seconds", settings.served_seconds, "--warm-up", settings.served_seconds / 10,
             "--warm-up-requests", requests, "--seed", settings.seed]
    with Load(words, settings.sides["kernel"], settings.pins[pin]) as generator:
        pids = server.pids()
        generator.start()
        before = server.cpu_ns(pids)
        line = generator.result()
        cpu = server.cpu_ns(pids) - before
        generator.tell("end\n")
    server.settle(sockets)
    return {"time": line["ns"], "cpu": cpu / line["requests"], "p50": line["p50_us"] * 1000, "p99": line["p99_us"] * 1000,
            "connects": int(line["connects"]), "generator": line["generator"]}


def echo(settings):
    for mode in ("level", "edge"):
        points = []
        for active, numbers in settings.idle.items():
            for idle in numbers:
                points.append(Point(f"{active} active", idle + active, lambda side, m=mode, a=active, i=idle: served(
                    settings, ["--mode", m], a, ["--idle", i], side), mode == "level"))
        yield Workload(f"echo-{mode}", f"TCP echo, 64 bytes, beside idle connections, {mode}-triggered", "ns a request", points, "served",
                       ("time", "cpu", "p50", "p99"), without_uring=True)
    beside = dict.fromkeys(min(idle, 1000) for idle in max(settings.idle.values(), key=len))
    churn = [Point("10 active", idle + 10, lambda side, i=idle: served(settings, [], 10, ["--idle", i, "--churn"], side), True)
             for idle in beside]
    yield Workload("echo-churn", "connect, request, close", "ns a request", churn, "served", ("time", "cpu", "p50", "p99"))
    threads = [Point("100 active", idle + 100, lambda side, i=idle: served(
        settings, ["--mode", "oneshot", "--threads", 3], 100, ["--idle", i], side, ("free", "free"))) for idle in beside]
    yield Workload("echo-threads", "TCP echo, three threads on one instance, one-shot", "ns a request", threads, "served",
                   ("time", "cpu", "p50", "p99"))
    exclusive = [Point("20 active", 20, lambda side: served(
        settings, ["--threads", 3, "--instances", "each"], 20, ["--churn"], side, ("free", "free")))]
    yield Workload("echo-exclusive", "connect, request, close; three instances on one listening socket, exclusive", "ns a request", exclusive,
                   "served", ("time", "cpu", "p50", "p99"))


def whole_programs(settings):
    for name, title, connections, measure in programs.all(settings):
        yield Workload(name, title, "ns a request", [Point(f"{connections} connections", connections, measure)], "program", without_uring=True)


def costs(settings):
    def calls(side, watching):
        line = run([settings.out / "calls"] + ["--watching"] * watching, side, settings.pins["server"])
        return {k: line[k] for k in ("read", "write", "close")}

    def registrations(side, edge):
        line = run([settings.out / "registrations", "--descriptors", min(10000, settings.room - 500)] + ["--edge"] * edge, side)
        return {"bytes": max(line["added"], line["waited"])}

    def start_up(side):
        words = [settings.out / "spawn", "--times", 100] + (["--preload", settings.library] if side.preloaded else [])
        return {"ns": run(words, settings.sides["kernel"], settings.pins["server"])["ns"]}

    def size(side):
        if not side.preloaded:
            return {"bytes": 0}
        with tempfile.TemporaryDirectory() as directory:
            stripped = Path(directory) / "library"
            subprocess.run(["strip", "-o", stripped, settings.library], check=True)
            return {"bytes": os.path.getsize(stripped)}

    yield Workload("calls", "read, write and close of descriptors that nobody watches", "ns added a call", [
        Point("no instance", 0, lambda side: calls(side, False)), Point("one instance", 1, lambda side: calls(side, True))], "cost",
        ("read", "write", "close"))
    yield Workload("registration", "memory of a registration", "bytes", [
        Point("level", 10000, lambda side: registrations(side, False)), Point("edge", 10000, lambda side: registrations(side, True))], "cost",
        ("bytes",))
    yield Workload("start-up", "start-up of /bin/true", "ns", [Point("/bin/true", 0, start_up)], "cost", ("ns",))
    if shutil.which("strip"):
        yield Workload("size", "the stripped library", "bytes", [Point("stripped", 0, size)], "cost", ("bytes",))


def all_workloads(settings):
    for part in (pipes, chain, control, echo, whole_programs, costs):
        yield from part(settings)
