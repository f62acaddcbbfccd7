"""All runs of a benchmark, and the file that stores them."""

import csv
import json
from statistics import median

from .harness import ROOT, Failure
from .workloads import Workload


def rounded(cost):
    """A cost with the digits that are worth storing."""
    return round(cost) if cost >= 1000 else round(cost, 2)


class Results:
    """All runs: {(workload, series, descriptors, metric): {side: [cost of each round]}}, and how
    they were made: the words for it by their names (machine, date, version, runs)."""

    def __init__(self, made):
        self.made, self.runs, self.workloads = made, {}, {}

    def add(self, workload, point, side, costs):
        self.workloads[workload.name] = workload
        for metric, cost in costs.items():
            self.runs.setdefault((workload.name, point.series, point.descriptors, metric), {}).setdefault(side, []).append(rounded(cost))

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
        """The sides that were measured: the kernel, the pollers, plain poll."""
        found = dict.fromkeys(side for sides in self.runs.values() for side in sides)
        known = ["kernel", "poll", "uring", "auto", "auto-without-uring", "signal"]
        return [s for s in known if s in found] + [s for s in found if s not in (*known, "plain")] + ["plain"] * ("plain" in found)


def save(results, path):
    """Writes JSON with a line for each point and metric, so that two runs can be compared line by line."""
    def lines(name):
        return [json.dumps([*key[1:], sides]) for key, sides in results.runs.items() if key[0] == name]

    workloads = [
        f'{json.dumps({"name": w.name, "title": w.title, "unit": w.unit, "group": w.group})[:-1]}, "runs": [\n' + ",\n".join(lines(w.name)) + "\n]}"
        for w in results.workloads.values()
    ]
    path.write_text(f'{{"made": {json.dumps(results.made, indent=1)},\n"workloads": [\n' + ",\n".join(workloads) + "\n]}\n", encoding="utf-8")


def load(path):
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"cannot read the results in {path}: {error}") from None
    results = Results(stored["made"])
    for w in stored["workloads"]:
        results.workloads[w["name"]] = Workload(w["name"], w["title"], w["unit"], [], w["group"])
        for series, descriptors, metric, sides in w["runs"]:
            results.runs[(w["name"], series, descriptors, metric)] = sides
    return results


def write_csv(results, path):
    with open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["workload", "series", "descriptors", "metric", "side", "round", "cost", "unit"])
        for (name, series, descriptors, metric), sides in results.runs.items():
            for side, costs in sides.items():
                for i, cost in enumerate(costs):
                    writer.writerow([name, series, descriptors, metric, side, i, cost, results.workloads[name].unit])


def version():
    """The version of the library in Cargo.toml."""
    for line in (ROOT / "Cargo.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    raise Failure("Cargo.toml has no version")
