#!/usr/bin/env python3
"""Runs a program of this directory under `epolyfill --audit`, and compares what is found.

  audit.py LAUNCHER POLLER SOURCE PROGRAM

The source says what is to be found: "// audit: GRADE RULE FUNCTION" for each finding above a note,
or "// audit: nothing". The library is the one that EPOLYFILL_LIBRARY names.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile

LIMIT = 60
FINDING = re.compile(r"^epolyfill\[(\d+)\] (fault|suspect|note) ([a-z-]+): (.*)$")
SUMMARY = re.compile(r"^audit: (\d+) faults?, (\d+) suspects?, (\d+) notes? in ")


def fail(why, output):
    sys.exit(f"{why}\n--- output\n{output}")


def expected(source):
    with open(source) as text:
        lines = re.findall(r"^// audit: (.*)$", text.read(), re.M)
    assert lines, f"{source} does not say what is to be found"
    return [tuple(line.split()) for line in lines if line != "nothing"]


def run(launcher, poller, program, directory, stderr, arguments=()):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EPOLYFILL_TEST")}
    environment |= {"TMPDIR": directory, "EPOLYFILL_POLLER": poller if poller != "kernel" else ""}
    return subprocess.run(
        # SIGCHLD blocked: one that the launcher leaves behind would stay pending.
        [launcher, "--audit", *arguments, program], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=LIMIT,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD]))


def compare(output, wanted):
    """Compares the findings of the text, and the sums of its last line."""
    lines = output.splitlines()
    found, shown = {}, set()
    for line, after in zip(lines, lines[1:] + [""]):
        match = FINDING.match(line)
        if not match:
            continue
        pid, grade, rule, words = match.groups()
        if line in shown:
            fail(f"twice: {line}", output)
        shown.add(line)
        if " case" not in words or rule not in {known[1] for known in found}:
            block = output[output.index(line):]
            function = re.search(r"^  suppress  [a-z-]+:(.*)$", block, re.M)
            found[(grade, rule, function.group(1) if function else "")] = True
    above = {one for one in found if one[0] != "note"}
    for one in wanted:
        if not any(one == known[:len(one)] for known in above):
            fail(f"not found: {' '.join(one)}", output)
    for known in above:
        if known[0] == "fault" and not any(one == known[:len(one)] for one in wanted):
            fail(f"found: {' '.join(known)}", output)
    if not wanted and above:
        fail(f"found: {above}", output)
    summary = SUMMARY.match(lines[-1]) if lines else None
    if not summary:
        fail("the last line does not sum up", output)
    if int(summary.group(1)) != len({known for known in above if known[0] == "fault"}):
        fail("the last line counts other faults", output)


def main():
    launcher, poller, source, program = sys.argv[1:]
    wanted = expected(source)
    with tempfile.TemporaryDirectory() as directory:
        done = run(launcher, poller, program, directory, subprocess.PIPE)
        if done.returncode not in (7, -signal.SIGKILL):
            fail(f"the program ended with {done.returncode}", done.stderr)
        compare(done.stderr, wanted)
        if os.listdir(directory):
            fail(f"left behind: {os.listdir(directory)}", done.stderr)
        with open("/dev/full", "w") as full:
            full = run(launcher, poller, program, directory, full)
        if full.returncode != done.returncode:
            fail(f"with a full disk the program ended with {full.returncode}", "")


main()
