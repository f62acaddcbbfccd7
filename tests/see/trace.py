#!/usr/bin/env python3
"""Compares the trace of `epolyfill -t` with that of strace(1), numbers and times masked.

  trace.py LAUNCHER PROGRAM LAGGARD

Of the second program, which leaves a part of each message, --edges has to show the edges and what is
owed at the sleeps.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile

CALLS = "trace=epoll_create,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait,epoll_pwait2"
# Ours in all styles of strace: the option of both.
STYLES = (["-t"], ["-tt"], ["-ttt", "-T"], ["-tt", "-T", "-yy"])


def masked(path):
    with open(path) as text:
        text = text.read()
    text = re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", text)
    # The library does not know the peer of a unix socket.
    text = re.sub(r"UNIX-STREAM:\[[^]]*\]", "UNIX-STREAM", text)
    return re.sub(r"\d+", "N", text).splitlines()


def main():
    launcher, program, laggard = sys.argv[1:]
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL)
    if probe.returncode != 0:
        print("skipped: strace may not trace here")
        sys.exit(77)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EPOLYFILL_TEST")}
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = (os.path.join(directory, name) for name in ("ours", "theirs"))
        for style in STYLES:
            # Our -t is strace without times.
            plain = [word for word in style if word != "-t"]
            subprocess.run(["strace", "-f", "-qqq", "-e", "signal=none", "-e", CALLS, *plain, "-o", theirs, program])
            # With an exit status for faults the launcher ends when the file is complete.
            subprocess.run([launcher, "--audit-exit=42", *style, "-o", ours, program], env=environment | {"TMPDIR": directory})
            with open(ours) as text:
                lines = [line for line in text if re.match(r"\d+ ", line)]
            with open(ours, "w") as text:
                text.writelines(lines)
            if masked(ours) != masked(theirs):
                sys.exit("\n".join(difflib.unified_diff(masked(theirs), masked(ours), "strace", "epolyfill", lineterm="")))
            print(f"ok: {' '.join(style)}: {len(lines)} lines")
        done = subprocess.run([launcher, "--audit-exit=42", "-t", "--edges", laggard], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, env=environment | {"TMPDIR": directory})
        wanted = ["--- edge of 4: EPOLLIN, ", "--- owed a read: 4, 40 unread before a sleep ---",
                  "--- owed a read: 4, 140 unread after a sleep ---"]
        for words in wanted:
            if words not in done.stderr:
                sys.exit(f"without {words}\n{done.stderr}")


main()
