#!/usr/bin/env python3
"""Runs a program of this directory under `epolyfill --audit`, in all forms, and compares what is found.

  audit.py LAUNCHER POLLER SOURCE PROGRAM

The source says what is to be found: "// audit: GRADE RULE FUNCTION" for each finding above a note,
or "// audit: nothing"; "// audit with POLLER: ..." is for one of the pollers; and, where it matters,

  // status: N     its exit status, if that is not 7
  // says: TEXT    what the library says on the program's standard error

The library is the one that EPOLYFILL_LIBRARY names.
"""

import json
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


def expected(source, poller):
    """The findings, the exit status, and what the library says."""
    with open(source) as text:
        text = text.read()
    lines = re.findall(rf"^// audit(?: with {poller})?: (.*)$", text, re.M)
    assert lines, f"{source} does not say what is to be found"
    status = re.search(r"^// status: (\d+)$", text, re.M)
    says = re.search(r"^// says: (.*)$", text, re.M)
    findings = [tuple(line.split()) for line in lines if line != "nothing"]
    return findings, int(status.group(1)) if status else 7, says.group(1) if says else ""


def run(launcher, poller, program, directory, stderr, arguments=(), wish="--audit"):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EPOLYFILL_TEST")}
    environment |= {"TMPDIR": directory, "EPOLYFILL_POLLER": poller if poller != "kernel" else ""}
    return subprocess.run(
        # SIGCHLD blocked: one that the launcher leaves behind would stay pending.
        [launcher, wish, *arguments, program], env=environment, stdin=subprocess.DEVNULL,
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
        _pid, grade, rule, _words = match.groups()
        if line in shown:
            fail(f"twice: {line}", output)
        shown.add(line)
        # A repeat is a single line.
        if after.startswith("  "):
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


def objects(text, wanted):
    """Checks the lines of JSON."""
    found, last = set(), None
    for line in text.splitlines():
        last = json.loads(line)
        for member in ("schema", "rule", "grade", "pid", "fd", "count", "message", "site"):
            if member not in last:
                fail(f"without {member}: {line}", text)
        if last["grade"] == "fault":
            found.add((last["grade"], last["rule"], last["function"] or ""))
    if not last or last["rule"] != "summary":
        fail("the last object does not sum up", text)
    if last["faults"] != len(found) or len(found) != len(wanted):
        fail(f"faults: {found}", text)


def log(text, wanted):
    """Checks the log of SARIF."""
    results = json.loads(text)["runs"][0]["results"]
    found = [result["ruleId"] for result in results if result["level"] == "error"]
    if found != [one[1] for one in wanted]:
        fail(f"errors: {found}", text)
    for result, one in zip((result for result in results if result["level"] == "error"), wanted):
        if len(one) > 2 and not result["locations"][0]["physicalLocation"]["region"]["startLine"]:
            fail("without a line", text)


def in_other_forms(launcher, poller, program, directory, wanted, status, says):
    """With the launcher as the parent, the report is complete when it ends."""
    fault = 42 if wanted else status
    for form, check in (("json", objects), ("sarif", log)):
        report = os.path.join(directory, form)
        arguments = [f"--audit-format={form}", "-o", report, "--audit-exit=42"]
        done = run(launcher, poller, program, directory, subprocess.PIPE, arguments)
        with open(report) as text:
            text = text.read()
        if done.returncode != fault:
            fail(f"--audit-exit: {done.returncode} in place of {fault}", text + done.stderr)
        if [line for line in done.stderr.splitlines() if not says or not line.endswith(says)]:
            fail(f"on standard error: {done.stderr}", text)
        check(text, wanted)
        os.unlink(report)


def without_standard_descriptors(launcher, poller, program, directory, wanted):
    report = os.path.join(directory, "report")
    # The program may need them, the launcher does not.
    launched = ["sh", "-c", '"$0" --audit-exit=42 -o "$1" "$2" 0<&- 1>&- 2>&-', launcher, report, program]
    environment = dict(os.environ) | {"TMPDIR": directory, "EPOLYFILL_POLLER": poller if poller != "kernel" else ""}
    done = subprocess.run(launched, env=environment, timeout=LIMIT)
    with open(report) as text:
        text = text.read()
    if not SUMMARY.match(text.splitlines()[-1] if text else ""):
        fail("without standard descriptors there is no report", text)
    if wanted and done.returncode not in (42, 99):
        fail(f"without standard descriptors: {done.returncode}", text)
    os.unlink(report)


def with_facts(launcher, poller, program, directory, wanted, status):
    """The table of calls, the timeline and the page."""
    timeline, page = (os.path.join(directory, name) for name in ("timeline", "page"))
    done = run(launcher, poller, program, directory, subprocess.PIPE, ["--timeline", timeline, "--report", page], "-c")
    if done.returncode != status:
        fail(f"with facts the program ended with {done.returncode}", done.stderr)
    if not re.search(r"^100\.00 +[0-9.]+ +\d+ +[1-9]\d* .* total$", done.stderr, re.M):
        fail("there is no table of calls", done.stderr)
    with open(timeline) as text:
        events = json.load(text)["traceEvents"]
    if not any(event.get("cat") == "epoll" for event in events):
        fail("the timeline has no call of epoll", done.stderr)
    with open(page) as text:
        text = text.read()
    if not text.rstrip().endswith("</html>") or len(text) > 8 << 20 or "http:" in text or "https:" in text:
        fail("the page is not whole", text[-200:])
    for one in wanted:
        if one[1] not in text:
            fail(f"not on the page: {one}", text)
    for path in (timeline, page):
        os.unlink(path)


def main():
    launcher, poller, source, program = sys.argv[1:]
    wanted, status, says = expected(source, poller)
    if ".number." in os.path.basename(program):
        # Its calls stand in functions of libc's names (c/by_number.c).
        wanted = [(*one[:2], *("epoll_ctl" for _ in one[2:])) for one in wanted]
    with tempfile.TemporaryDirectory() as directory:
        done = run(launcher, poller, program, directory, subprocess.PIPE)
        if done.returncode not in (status, -signal.SIGKILL):
            fail(f"the program ended with {done.returncode}", done.stderr)
        compare(done.stderr, wanted)
        if says not in done.stderr:
            fail(f"the library does not say: {says}", done.stderr)
        # What is made of the findings does not depend on the poller.
        if poller == "kernel":
            with_facts(launcher, poller, program, directory, wanted, done.returncode)
            faults = [one for one in wanted if one[0] == "fault"]
            in_other_forms(launcher, poller, program, directory, faults, done.returncode, says)
            without_standard_descriptors(launcher, poller, program, directory, faults)
        if os.listdir(directory):
            fail(f"left behind: {os.listdir(directory)}", done.stderr)
        with open("/dev/full", "w") as full:
            full = run(launcher, poller, program, directory, full)
        if full.returncode != done.returncode:
            fail(f"with a full disk the program ended with {full.returncode}", "")


main()
