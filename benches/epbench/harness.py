"""Runs programs on the kernel's epoll, on the library, or on plain poll, and measures their
processor time, memory and descriptors."""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
CPUS = sorted(os.sched_getaffinity(0))
os.environ["PATH"] += ":/usr/sbin:/sbin"


class Failure(Exception):
    """An error, as one sentence for the user."""


WITHOUT_URING = "-without-uring"  # ends the name of a side whose programs get no ring


@dataclass(frozen=True)
class Side:
    """What a program runs on: `kernel`, a poller of the library, or `plain`, its own poll(2)."""

    name: str
    environment: dict = field(default_factory=dict, hash=False, compare=False)

    @property
    def preloaded(self):
        return "LD_PRELOAD" in self.environment

    @property
    def without_uring(self):
        return self.name.endswith(WITHOUT_URING)

    def before_exec(self, pin=None):
        """Returns a function for the child between fork and exec, or None."""
        steps = [step for step in (pin, refuse_uring if self.without_uring else None) if step]
        return (lambda: [step() for step in steps]) if steps else None


LIBC = ctypes.CDLL(None, use_errno=True)


def refuse_uring():
    """Lets io_uring_setup fail with ENOMEM in the program that is executed next: a ring counts as
    locked memory (in Linux 6.18), and the program may have none. A seccomp filter, as containers
    have it, would cost each system call some 40 ns, and the kernel's side would need one too."""
    drop_from_bounding_set, ipc_lock = 24, 14
    LIBC.prctl(drop_from_bounding_set, ipc_lock, 0, 0, 0)  # who may not drop it does not have it
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))


# Prints the error number of io_uring_setup, which has the same number on every architecture.
SETUP = "import ctypes; l = ctypes.CDLL(None, use_errno=True); print(0 if l.syscall(425, 8, ctypes.create_string_buffer(120)) >= 0 else ctypes.get_errno())"


def permits_uring(side):
    """Whether a program gets a ring: asked without the library, which keeps programs from rings."""
    environment = {k: v for k, v in side.environment.items() if k != "LD_PRELOAD"}
    said = subprocess.run([sys.executable, "-c", SETUP], env=environment, preexec_fn=side.before_exec(), stdout=subprocess.PIPE, text=True, check=True)
    return said.stdout.strip() == "0"


def make_sides(library, pollers):
    clean = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("EPOLYFILL_")}
    sides = {"kernel": Side("kernel", clean), "plain": Side("plain", clean)}
    if pollers and not library.is_file():
        raise Failure(f"there is no library {library}; build it with cargo build --release, or name one with --library")
    for name in pollers:
        poller = name.removesuffix(WITHOUT_URING)
        side = Side(name, {**clean, "LD_PRELOAD": str(library), "EPOLYFILL_POLLER": poller})
        said = subprocess.run(["/bin/true"], env=side.environment, stderr=subprocess.PIPE, text=True).stderr
        if said:
            raise Failure(f"the library does not take the poller {poller} ({said.strip()}); leave it out with --pollers")
        if side.without_uring and permits_uring(side):
            print(f"{name} is left out: this kernel gives rings to programs that may have no locked memory")
        else:
            sides[name] = side
    return sides


def end_in_order():
    """Turns ending signals into exceptions, so that every `with` stops its servers first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def raise_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Pins:
    """Servers and measured programs run on the last processor, generators on the first;
    `free` programs on all."""

    def __init__(self, on):
        self.on = on and len(CPUS) > 1

    def __getitem__(self, name):
        if not self.on or name == "free":
            return None
        cpu = {"server": CPUS[-1], "generator": CPUS[0]}[name]
        return lambda: os.sched_setaffinity(0, {cpu})


def tail(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def read_line(text, program):
    """Parses the line of NAME=VALUE that a program prints last."""
    words = text.strip().splitlines()[-1].split() if text.strip() else []
    if not words or words[0] != program:
        raise Failure(f"{program} printed no result, but: {tail(text)}")
    values = dict(word.split("=", 1) for word in words[1:])
    return {k: float(v) if v.replace(".", "", 1).isdigit() else v for k, v in values.items()}


def run(argv, side, pin=None, bound=120):
    """Runs a program to its end and returns its line."""
    name = Path(argv[0]).name
    try:
        done = subprocess.run([str(a) for a in argv], env=side.environment, preexec_fn=side.before_exec(pin), capture_output=True, text=True, timeout=bound)
    except subprocess.TimeoutExpired:
        raise Failure(f"{side.name}: {' '.join(map(str, argv))} did not end within {bound} s") from None
    if done.returncode != 0:
        raise Failure(f"{side.name}: {' '.join(map(str, argv))} ended with status {done.returncode}: {tail(done.stderr)}")
    line = read_line(done.stdout, name)
    expected = {"kernel": "kernel", "plain": "poll"}.get(side.name, "library")
    if line.get("epoll", expected) != expected:
        raise Failure(f"{name} was to run on {side.name} and ran on {line['epoll']}")
    return line


def free_port():
    """Returns a port that the system assigns to no other socket for a minute, because a connection
    of it is left in TIME_WAIT."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        with socket.create_connection(s.getsockname()) as client:
            s.accept()[0].close()
            client.recv(1)
        return s.getsockname()[1]


def not_accepted(port):
    """The number of connections in the accept queue of the listening socket on `port`, which
    /proc/net/tcp shows in place of its receive queue."""
    listening = "0A"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues = line.split()[:5]
        if state == listening and int(local.split(":")[1], 16) == int(port):
            return int(queues.split(":")[1], 16)
    return 0


def status_of(pid):
    """The fields of /proc/PID/stat behind the name, which may hold spaces; none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


class Server:
    """A server and its children, in a session of their own; stopped by its process ID."""

    def __init__(self, argv, side, pin=None, port=None):
        self.name, self.side, self.port = Path(argv[0]).name, side, port
        self.process = subprocess.Popen(
            [str(a) for a in argv], env=side.environment, preexec_fn=side.before_exec(pin), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *failed):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            out = self.process.communicate(timeout=15)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            for pid in self.pids():
                os.kill(pid, signal.SIGKILL)
            self.process.communicate()
            if failed[0] is None:
                raise Failure(f"{self.side.name}: {self.name} did not end within 15 s of SIGTERM") from None
            return
        self.output = out
        # Java catches the signal and ends with 143.
        if failed[0] is None and self.process.returncode not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
            raise Failure(f"{self.side.name}: {self.name} ended with status {self.process.returncode}: {tail(out)}")

    def first_line(self):
        """Returns the line that the server prints when it is ready."""
        line = self.process.stdout.readline().decode()
        if not line:
            raise Failure(f"{self.side.name}: {self.name} ended before it was ready")
        return line

    def await_port(self):
        end = time.monotonic() + 15
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failure(f"{self.side.name}: {self.name} does not accept connections on port {self.port}") from None
                time.sleep(0.02)
        self.check()
        return self

    def check(self):
        """Checks that the server runs on the intended side."""
        maps = Path(f"/proc/{self.pid}/maps").read_text()
        if ("libepolyfill" in maps) != self.side.preloaded:
            raise Failure(f"{self.name} was to run on {self.side.name}, and the library is {'not ' * self.side.preloaded}loaded")

    def pids(self):
        """The server, what is left of its session, and its other descendants: PostgreSQL's have
        sessions of their own."""
        others = {int(pid): fields for pid in filter(str.isdigit, os.listdir("/proc")) if int(pid) != self.pid and (fields := status_of(pid))}
        found = [self.pid, *(pid for pid, (_, _, _, session, *_) in others.items() if int(session) == self.pid)]
        for parent in found:
            found += [pid for pid, fields in others.items() if int(fields[1]) == parent and pid not in found]
        return found

    def cpu_ns(self, pids=None):
        """Processor time of all threads, and of the children that have ended, in the clock's ticks.
        Looking for the processes takes some milliseconds, so a server that is busy meanwhile passes
        them."""
        total = 0
        for pid in pids or self.pids():
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(task.read_text().split()[0])
                except OSError:
                    pass
            if fields := status_of(pid):
                total += (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return total

    def resident(self):
        """The private dirty memory, in bytes."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
        raise Failure("/proc/PID/smaps_rollup has no Private_Dirty")

    def descriptors(self):
        """The numbers of the server's sockets and of its other descriptors, from one look: while
        connections come and go, the difference of two looks means nothing."""
        sockets = others = 0
        directory = f"/proc/{self.pid}/fd"
        for number in os.listdir(directory):
            try:
                is_socket = os.readlink(f"{directory}/{number}").startswith("socket:")
            except OSError:
                continue
            sockets += is_socket
            others += not is_socket
        return sockets, others

    def settle(self, sockets, bound=10):
        """Waits until the server has accepted all connections to its port and has seen their ends.
        One socket may be the library's, for socket diagnosis."""
        began = time.monotonic()
        while (left := not_accepted(self.port) + self.descriptors()[0] - sockets) > 0:
            waited = time.monotonic() - began
            if left == 1 and waited > 1 and self.side.preloaded:
                return
            if waited > bound:
                raise Failure(f"{self.side.name}: {self.name} has not seen the end of {left} connections within {bound} s")
            time.sleep(0.01)


class Load:
    """The load generator, always on the kernel's epoll: connects when it is created, and sends once
    it is started."""

    def __init__(self, argv, kernel, pin=None):
        self.process = subprocess.Popen(
            [str(a) for a in argv], env=kernel.environment, preexec_fn=pin, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        if self.process.stdout.readline() != "ready\n":
            self.failed("before it began")
        return self

    def failed(self, when):
        self.process.kill()
        raise Failure(f"the load ended {when}: {tail(self.process.communicate()[1])}")

    def start(self):
        """Starts the load, and returns when the warm-up is over."""
        self.tell("go\n")
        if self.process.stdout.readline() != "measuring\n":
            self.failed("in its warm-up")

    def tell(self, word):
        try:
            self.process.stdin.write(word)
            self.process.stdin.flush()
        except BrokenPipeError:
            self.failed("early")

    def result(self):
        line = self.process.stdout.readline()
        if not line:
            self.failed("without a result")
        return read_line(line, "load")

    def __exit__(self, *failed):
        if failed[0] is not None:
            self.process.kill()
        self.process.communicate()
