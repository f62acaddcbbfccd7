"""Counts how often idle servers wake up, and measures their processor time.

idle_count.py KIND:ROLE:PORT:GROUP…   KIND nginx or redis, ROLE test or kernel,
                                      GROUP the process group of the server

It counts how often the threads of all processes of the group go to sleep, which is once after each
wake-up (voluntary context switches; the others are those of a busy machine). This needs no
permission to trace, so it works in a container.
"""

import os
import socket
import sys
import time

SETTLE = 4.0  # seconds after the last request, for one-time rearrangements by the library
WINDOW = 10.0
CONNECTIONS = 20
# redis wakes up for its own clock ten times a second; neither the clock nor the window is exact.
SLACK, SLACK_PER_CENT = 5, 5
# Processor time is counted in ticks of 10 ms, and each thread's is rounded.
TICKS = 3


def pids(group):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    if int(f.read().rpartition(")")[2].split()[2]) == group:
                        found.append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                pass
    assert found, f"no process in group {group}"
    return found


def sample(group):
    """(sleeps per thread, ticks of processor time, names of threads)"""
    sleeps, ticks, names = {}, 0, {}
    for pid in pids(group):
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status") as f:
                status = dict(line.rstrip("\n").split(":", 1) for line in f if ":" in line)
            names[thread] = status["Name"].strip()
            sleeps[thread] = int(status["voluntary_ctxt_switches"])
    return sleeps, ticks, names


def ask(kind, sock):
    if kind == "redis":
        sock.sendall(b"PING\r\n")
        assert sock.recv(100) == b"+PONG\r\n"
    else:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        answer = b""
        while b"something to serve" not in answer:
            data = sock.recv(10_000)
            assert data, "closed before an answer"
            answer += data


servers = []
for word in sys.argv[1:]:
    kind, role, port, group = word.split(":")
    sockets = [socket.create_connection(("127.0.0.1", int(port)), timeout=20) for _ in range(CONNECTIONS)]
    for _ in range(50):
        for sock in sockets:
            ask(kind, sock)
    servers.append((kind, role, int(group), sockets))

time.sleep(SETTLE)
before = [sample(group) for _, _, group, _ in servers]
time.sleep(WINDOW)
after = [sample(group) for _, _, group, _ in servers]

results = {}
for (kind, role, group, sockets), (s0, t0, _), (s1, t1, names) in zip(servers, before, after):
    # A thread that started or ended in between has woken up at least once.
    per_thread = {t: s1.get(t, s0.get(t, 0) + 1) - s0.get(t, 0) for t in s1.keys() | s0.keys()}
    detail = ", ".join(f"{names.get(t, 'gone')} {n}" for t, n in sorted(per_thread.items()) if n)
    results[kind, role] = (sum(per_thread.values()), t1 - t0, detail)
    # They slept, but still serve.
    for sock in sockets:
        ask(kind, sock)

wrong = 0
for kind in sorted({kind for kind, _ in results}):
    (test, test_ticks, detail), (kernel, kernel_ticks, _) = results[kind, "test"], results[kind, "kernel"]
    print(
        f"idle: {kind}: {test} wake-ups in {WINDOW:.0f} s with {CONNECTIONS} idle connections, {kernel} on the kernel; "
        f"{test_ticks * 10} ms of processor time, {kernel_ticks * 10} on the kernel"
    )
    if test > kernel * (100 + SLACK_PER_CENT) / 100 + SLACK:
        print(f"idle: FAILED: {kind} wakes too often, by thread: {detail}", file=sys.stderr)
        wrong += 1
    if test_ticks > kernel_ticks + TICKS:
        print(f"idle: FAILED: {kind} takes processor time while idle", file=sys.stderr)
        wrong += 1
sys.exit(1 if wrong else 0)
