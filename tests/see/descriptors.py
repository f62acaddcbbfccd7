#!/usr/bin/env python3
"""The launcher and its reporter with few descriptors: descriptors.py LAUNCHER PROGRAM FAULTY

PROGRAM needs few itself. FAULTY makes one fault, at once. The library is the one that
EPOLYFILL_LIBRARY names.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile

LIMIT = 60
# With these the launcher can do its work.
ENOUGH = 16
SUMMARY = re.compile(r"^audit: (\d+) faults?, .* waits\b")
REFUSED = re.compile(r"^epolyfill: .*too many open files")


def run(words, descriptors, directory):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=LIMIT, env=dict(os.environ) | {"TMPDIR": directory}, preexec_fn=limit)


def check(holds, why, done):
    if not holds:
        sys.exit(f"{why}: status {done.returncode}\n--- output\n{done.stdout}{done.stderr}")


def under(descriptors, launcher, wish, program, directory):
    """Either the program runs as it does alone, or one line says why it does not."""
    alone = run([program], descriptors, directory)
    done = run([launcher, wish, "--", program], descriptors, directory)
    why = f"{wish} with {descriptors} descriptors"
    lines = done.stderr.splitlines()
    if done.returncode == 127 and descriptors < ENOUGH:
        # The dynamic linker itself has none.
        check(len(lines) == 1 and "shared" in lines[0], why, done)
    elif done.returncode == 125 and descriptors < ENOUGH:
        check(len(lines) == 1 and REFUSED.match(lines[0]) and not done.stdout, why, done)
    else:
        check(done.returncode == alone.returncode and done.stdout == alone.stdout, why, done)
        check("not observed" in done.stderr or wish != "--audit" or SUMMARY.match(lines[-1]), why, done)
    check(not os.listdir(directory), f"{why}: left behind: {os.listdir(directory)}", done)


def more_processes_than_descriptors(launcher, faulty, directory):
    """Each process has its fault reported, although a few can be followed at a time."""
    number = 30
    script = f"""
        mkfifo begin; exec 3<>begin
        for i in $(seq {number}); do (read _ <&3; exec 3<&-; exec {faulty}) & done
        for i in $(seq {number}); do echo >&3; done
        wait
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        done = run([launcher, "--audit", "sh", "-c", f"cd {elsewhere}; {script}"], 20, directory)
    summary = SUMMARY.match((done.stderr.splitlines() or [""])[-1])
    check(done.returncode == 0 and summary, "more processes than descriptors", done)
    check(int(summary.group(1)) == number, f"not {number} faults", done)
    check(not os.listdir(directory), f"left behind: {os.listdir(directory)}", done)


def main():
    launcher, program, faulty = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        for descriptors in range(3, ENOUGH + 1):
            for wish in ("--audit", "--audit-exit=7", "--chaos=1", "--timeline=/dev/null"):
                under(descriptors, launcher, wish, program, directory)
        more_processes_than_descriptors(launcher, faulty, directory)


main()
