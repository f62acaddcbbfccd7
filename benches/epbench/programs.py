"""Whole programs: each measure starts a server on a side, loads it from the kernel's side, and
returns time and processor time per request."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .harness import HERE, ROOT, Failure, Server, free_port

NGINX = """
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    keepalive_requests 1000000000;
    sendfile on;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {dir}; }}
}}
"""

HAPROXY = """
global
    maxconn 8000
    nbthread 1
defaults
    mode http
    timeout connect 10s
    timeout client 30s
    timeout server 30s
    http-reuse always
frontend in
    bind 127.0.0.1:{port}
    default_backend out
backend out
    server nginx 127.0.0.1:{behind}
"""


def command(words, pin, environment, bound=120):
    done = subprocess.run([str(w) for w in words], preexec_fn=pin, env=environment, capture_output=True, text=True, timeout=bound)
    if done.returncode != 0:
        raise Failure(f"{words[0]} ended with status {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout


def wrk(settings, port):
    out = command(["wrk", "-t1", f"-c{settings.connections}", f"-d{max(1, round(settings.served_seconds))}s", f"http://127.0.0.1:{port}/1k"],
                  settings.pins["generator"], settings.sides["kernel"].environment)
    if re.search("Socket errors|Non-2xx", out):
        raise Failure(f"wrk met errors: {' '.join(out.split())}")
    requests = int(re.search(r"(\d+) requests in", out)[1])
    # Every answer was complete: 1,024 bytes and a header each.
    return requests, float(re.search(r"Requests/sec:\s*([\d.]+)", out)[1])


def loaded(server, work):
    """Returns the costs of `work`, which returns the number of requests, and their rate."""
    before = server.cpu_ns()
    requests, rate = work()
    return {"time": 1e9 / rate, "cpu": (server.cpu_ns() - before) / requests}


@contextmanager
def directory():
    # Readable for all: when root starts nginx, its workers run as another user.
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made)


def nginx(settings, side, where, pin):
    port = free_port()
    (where / "1k").write_bytes(b"x" * 1024)
    (where / "nginx.conf").write_text(NGINX.format(dir=where, port=port))
    return Server(["nginx", "-p", where, "-c", where / "nginx.conf", "-e", where / "error.log"], side, settings.pins[pin], port)


def measure_nginx(settings, side):
    with directory() as where, nginx(settings, side, where, "server") as server:
        server.await_port()
        return loaded(server, lambda: wrk(settings, server.port))


def measure_haproxy(settings, side):
    with directory() as where, nginx(settings, settings.sides["kernel"], where, "generator") as behind:
        behind.await_port()
        port = free_port()
        (where / "haproxy.cfg").write_text(HAPROXY.format(port=port, behind=behind.port))
        with Server(["haproxy", "-db", "-f", where / "haproxy.cfg"], side, settings.pins["server"], port) as server:
            server.await_port()
            return loaded(server, lambda: wrk(settings, port))


def ask(port, words, end):
    """Sends `words` and reads until `end`."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(words)
        got = b""
        while not got.endswith(end):
            part = s.recv(65536)
            if not part:
                raise Failure(f"the server on port {port} closed the connection")
            got += part
        return got


def measure_redis(settings, side, pipeline):
    port = free_port()
    # About as many requests as take the time that other programs get.
    requests = int(settings.served_seconds * (400000 if pipeline > 1 else 40000))

    def calls():
        found = re.search(rb"cmdstat_get:calls=(\d+)", ask(port, b"INFO commandstats\r\n", b"\r\n\r\n"))
        return int(found[1]) if found else 0

    def work():
        out = command(["redis-benchmark", "-h", "127.0.0.1", "-p", port, "-c", settings.connections, "-n", requests, "-t", "get", "-P", pipeline,
                       "--csv"], settings.pins["generator"], settings.sides["kernel"].environment)
        return requests, float(out.strip().splitlines()[-1].split(",")[1].strip('"'))

    with directory() as where:
        argv = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", where, "--daemonize", "no",
                "--logfile", where / "log"]
        with Server(argv, side, settings.pins["server"], port) as server:
            server.await_port()
            costs = loaded(server, work)
            # redis-benchmark may exceed the number by one pipeline of requests per connection.
            if not requests <= calls() <= requests + pipeline * settings.connections:
                raise Failure(f"redis served {calls()} requests of {requests}")
            return costs


def measure_memcached(settings, side):
    from .workloads import measured

    port = free_port()
    value = "v" * 100
    with Server(["memcached", "-l", "127.0.0.1", "-p", port, "-U", "0", "-u", "nobody", "-t", "4"], side, settings.pins["server"], port) as server:
        server.await_port()
        ask(port, f"set k 0 0 {len(value)}\r\n{value}\r\n".encode(), b"STORED\r\n")
        words = ["--port", port, "--send", "get k\\r\\n", "--expect", f"VALUE k 0 {len(value)}\\r\\n{value}\\r\\nEND\\r\\n"]
        costs = measured(settings, server, words, settings.connections)
        return {k: costs[k] for k in ("time", "cpu", "generator")}


def tokio_program(settings):
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "programs"
    manifest = ROOT / "tests/programs/tokio-echo/Cargo.toml"
    command(["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", manifest], None, {**os.environ, "CARGO_TARGET_DIR": str(target)}, 600)
    return target / "release/tokio-echo"


COMPILED = 25000  # requests until node and Java have compiled what answers them


def measure_printed_port(settings, side, words, load=(), warm_up_requests=0):
    """A server that prints its port first."""
    from .workloads import measured

    with Server(words, side, settings.pins["server"]) as server:
        port = server.port = server.first_line().split()[0]
        server.check()
        costs = measured(settings, server, ["--port", port, *load], settings.connections, warm_up_requests=warm_up_requests)
        return {k: costs[k] for k in ("time", "cpu", "generator")}


def measure_tokio(settings, side, program=[]):
    if not program:
        program.append(tokio_program(settings))
    with directory() as where:
        return measure_printed_port(settings, side, [program[0], "server", where / "socket"])


def measure_node(settings, side):
    answer = f"HTTP/1.1 200 OK\\r\\nContent-Length: 1024\\r\\nConnection: keep-alive\\r\\n\\r\\n{'x' * 1024}"
    load = ["--send", "GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n", "--expect", answer]
    return measure_printed_port(settings, side, ["node", HERE / "servers/http.js"], load, COMPILED)


def measure_java(settings, side):
    classes = settings.out / "classes"
    if not (classes / "Echo.class").is_file() or (classes / "Echo.class").stat().st_mtime < (HERE / "servers/Echo.java").stat().st_mtime:
        command(["javac", "-d", classes, HERE / "servers/Echo.java"], None, settings.sides["kernel"].environment)
    # The first compiler and the simplest collector: the program is soon as fast as it gets.
    return measure_printed_port(settings, side, ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "Echo"], warm_up_requests=COMPILED)


SESSIONS = 10  # of PostgreSQL, whose processor time includes the start of a process for each


def postgresql_programs():
    """The directory of the newest PostgreSQL's programs, which Debian keeps out of PATH."""
    found = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists() and (p / "pgbench").exists()]
    return max(found, key=lambda p: float(p.parent.name), default=None)


class Cluster:
    """A database cluster, made once and served by each side in turn. PostgreSQL refuses to run as
    root, and its user must be able to read what is loaded."""

    def __init__(self, settings):
        self.environment = settings.sides["kernel"].environment
        self.programs = postgresql_programs()
        self.made = tempfile.TemporaryDirectory()
        self.where = Path(self.made.name)
        self.library = self.where / "libepolyfill.so"
        shutil.copy(settings.library, self.library)
        self.library.chmod(0o755)
        self.where.chmod(0o755)
        (self.where / "data").mkdir()
        self.user = []
        if os.getuid() == 0:
            shutil.chown(self.where / "data", "postgres")
            self.user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        self.run(*self.user, self.programs / "initdb", "-D", self.where / "data", "-U", "bench", "-A", "trust", "--no-sync")
        with self.serve(settings, settings.sides["kernel"]) as server:
            self.run(self.programs / "pgbench", *self.to(server), "-i", "-q", "postgres")

    def run(self, *words, pin=None):
        os.chdir(self.where)
        return command(words, pin, self.environment)

    def to(self, server):
        return ["-h", "127.0.0.1", "-p", server.port, "-U", "bench"]

    @contextmanager
    def serve(self, settings, side):
        if side.preloaded:
            side = replace(side, environment={**side.environment, "LD_PRELOAD": str(self.library)})
        port = free_port()
        words = [*self.user, self.programs / "postgres", "-D", self.where / "data", "-p", port, "-c", "listen_addresses=127.0.0.1",
                 "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "autovacuum=off"]
        with Server(words, side, settings.pins["server"], port) as server:
            server.name = "postgres"
            end = time.monotonic() + 15
            while subprocess.run([str(w) for w in (self.programs / "pg_isready", "-q", *self.to(server))], env=self.environment).returncode != 0:
                if server.process.poll() is not None or time.monotonic() > end:
                    raise Failure(f"{side.name}: postgres takes no queries on port {port}")
                time.sleep(0.02)
            server.check()
            yield server

    def looked_up(self, server):
        """The number of look-ups so far, as the server counts them."""
        words = ["psql", *self.to(server), "-Atqc", "select idx_scan from pg_stat_user_tables where relname = 'pgbench_accounts'", "postgres"]
        return int(self.run(self.programs / words[0], *words[1:]))


def measure_postgresql(settings, side, cluster=[]):
    if not cluster:
        cluster.append(Cluster(settings))
    pgbench = [cluster[0].programs / "pgbench", "-n", "-S", "-M", "prepared", "-c", SESSIONS, "-T", max(1, round(settings.served_seconds))]
    with cluster[0].serve(settings, side) as server:
        before, idle = cluster[0].looked_up(server), len(server.pids())

        def work():
            out = cluster[0].run(*pgbench, *cluster[0].to(server), "postgres", pin=settings.pins["generator"])
            done = int(re.search(r"actually processed: (\d+)", out)[1])
            if not re.search(r"failed transactions: 0 ", out):
                raise Failure(f"{side.name}: pgbench's transactions failed: {' '.join(out.split())}")
            # What a session counted, in the kernel and in the statistics, is known when it has ended.
            end = time.monotonic() + 10
            while len(server.pids()) > idle and time.monotonic() < end:
                time.sleep(0.01)
            return done, float(re.search(r"tps = ([\d.]+) \(without initial", out)[1])

        done = []
        costs = loaded(server, lambda: done.append(work()) or done[0])
        counted = cluster[0].looked_up(server) - before
        if counted != done[0][0]:
            raise Failure(f"{side.name}: PostgreSQL looked up {counted} rows in {done[0][0]} transactions")
        return costs


def all(settings):
    """Returns the workloads whose programs are installed: name, title, connections, measure."""
    many = settings.connections
    for name, needs, title, connections, measure in [
        ("redis", ["redis-server", "redis-benchmark"], "redis-benchmark GET", many, lambda side: measure_redis(settings, side, 1)),
        ("redis-pipelined", ["redis-server", "redis-benchmark"], "redis-benchmark GET, 16 at once", many, lambda side: measure_redis(settings, side, 16)),
        ("nginx", ["nginx", "wrk"], "nginx, 1 KiB files, wrk", many, lambda side: measure_nginx(settings, side)),
        ("memcached", ["memcached"], "memcached GET, four threads", many, lambda side: measure_memcached(settings, side)),
        ("haproxy", ["haproxy", "nginx", "wrk"], "haproxy before nginx, wrk", many, lambda side: measure_haproxy(settings, side)),
        ("postgresql", [] if postgresql_programs() else ["PostgreSQL"], "PostgreSQL, a row for each of pgbench's queries", SESSIONS,
         lambda side: measure_postgresql(settings, side)),
        ("tokio", ["cargo"], "a tokio echo server, four threads", many, lambda side: measure_tokio(settings, side)),
        ("node", ["node"], "node, HTTP answers of 1 KiB", many, lambda side: measure_node(settings, side)),
        ("java", ["java", "javac"], "Java, an echo server on a selector", many, lambda side: measure_java(settings, side)),
    ]:
        missing = [n for n in needs if shutil.which(n) is None]
        if missing:
            print(f"{name} is left out: {', '.join(missing)} is not installed")
        else:
            yield name, title, connections, measure
