"""Checks a redis server's answers over plain blocking sockets: this side uses no epoll, so
any error is the server's.

redis_client.py PORT          all checks; leaves data behind and makes the server save it
redis_client.py PORT loaded   the saved data is there
"""

import random
import socket
import struct
import sys
import threading
import time

BOUND = 20.0  # seconds any single answer may take: a hang is a failure, a slow machine is not
PORT = int(sys.argv[1])


class Client:
    def __init__(self):
        self.sock = socket.create_connection(("127.0.0.1", PORT), timeout=BOUND)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb", buffering=65536)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def reset(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def send(self, *args):
        self.sock.sendall(encode(*args))

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            if rest == b"-1":
                return None
            data = self.file.read(int(rest) + 2)
            assert data.endswith(b"\r\n"), "a bulk reply was cut off"
            return data[:-2]
        assert kind == b"*", line
        return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]

    def call(self, *args):
        self.send(*args)
        return self.reply()

    def info(self, section, field):
        for line in self.call("INFO", section).decode().splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1]
        raise KeyError(field)


def encode(*args):
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        if not isinstance(arg, bytes):
            arg = str(arg).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(out)


def equal(got, expected, what):
    if got != expected:
        raise AssertionError(f"{what}: got {got!r:.200}, expected {expected!r:.200}")


def until(what, condition):
    end = time.monotonic() + BOUND
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not so after {BOUND:.0f} s: {what}")
        time.sleep(0.02)


def together(count, work):
    """Runs work(0) … work(count - 1) in threads, and raises the first exception."""
    failures = []

    def body(i):
        try:
            work(i)
        except BaseException as e:  # noqa: BLE001: re-raised in the caller
            failures.append(e)

    threads = [threading.Thread(target=body, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * BOUND)
        if thread.is_alive():
            raise AssertionError("a client thread hangs")
    if failures:
        raise failures[0]


def connected():
    with Client() as c:
        return int(c.info("clients", "connected_clients")) - 1


def every_increment_counts_once():
    clients, each = 20, 500
    seen = [[] for _ in range(clients)]

    def work(i):
        with Client() as c:
            rng = random.Random(i)
            left = each
            while left:
                batch = min(left, rng.choice((1, 1, 7, 50)))
                c.sock.sendall(encode("INCR", "counter") * batch)
                seen[i] += [c.reply() for _ in range(batch)]
                left -= batch
            equal(seen[i], sorted(seen[i]), "the order of one client's replies")

    with Client() as c:
        c.call("DEL", "counter")
        together(clients, work)
        equal(c.call("GET", "counter"), b"%d" % (clients * each), "INCR count")
    equal(sorted(sum(seen, [])), list(range(1, clients * each + 1)), "INCR replies")
    return clients * each


def values_come_back_as_they_were():
    rng = random.Random(1)
    sizes = [0, 1, 15, 16, 17, 1023, 4096, 16383, 16384, 32769, 65536, 100_000, 262_144, 999_999, 1_048_576]

    def work(i):
        with Client() as writer, Client() as reader:
            mine = random.Random(i)
            for size in sizes:
                value = mine.randbytes(size)
                request = encode("SET", f"value:{i}:{size}", value)
                # In pieces, so that the server sees incomplete requests.
                at = 0
                while at < len(request):
                    step = mine.choice((1, 3, 100, 5000, 65536, 400_000))
                    writer.sock.sendall(request[at : at + step])
                    at += step
                equal(writer.reply(), b"OK", "SET")
                equal(reader.call("GET", f"value:{i}:{size}"), value, f"GET of {size} bytes")
                equal(reader.call("STRLEN", f"value:{i}:{size}"), size, "STRLEN")

    together(6, work)
    del rng
    return 6 * len(sizes)


def a_client_that_does_not_read_holds_up_nobody():
    value = random.Random(2).randbytes(1_048_576)
    with Client() as slow, Client() as quick:
        quick.call("SET", "big", value)
        asked = 32
        slow.sock.sendall(encode("GET", "big") * asked)
        # 32 MB do not fit in the socket: the server must wait for space (OUT), and serve other
        # clients meanwhile.
        for _ in range(200):
            equal(quick.call("PING"), b"PONG", "PING beside a client that does not read")
        for i in range(asked):
            if i % 8 == 0:
                time.sleep(0.02)
            equal(slow.reply(), value, "a reply that had to wait for room")
        equal(slow.call("PING"), b"PONG", "PING after the replies that had to wait")


def subscribers_get_every_message_in_order():
    subscribers, messages = 20, 500
    ready = threading.Barrier(subscribers + 1, timeout=BOUND)

    def work(i):
        if i == subscribers:
            with Client() as c:
                ready.wait()
                for n in range(messages):
                    equal(c.call("PUBLISH", "news", f"{n} " + "x" * (n % 97)), subscribers, "receivers of a PUBLISH")
            return
        with Client() as c:
            equal(c.call("SUBSCRIBE", "news"), [b"subscribe", b"news", 1], "SUBSCRIBE")
            ready.wait()
            for n in range(messages):
                equal(c.reply(), [b"message", b"news", b"%d %s" % (n, b"x" * (n % 97))], "message")
            equal(c.call("UNSUBSCRIBE", "news"), [b"unsubscribe", b"news", 0], "UNSUBSCRIBE")

    together(subscribers + 1, work)
    return subscribers * messages


def blocked_clients_wake_one_by_one():
    with Client() as c:
        c.call("DEL", "queue")
        blocked = [Client() for _ in range(20)]
        for i, b in enumerate(blocked):
            b.send("BLPOP", "queue", 0)
            until("the client blocks", lambda n=i: int(c.info("clients", "blocked_clients")) == n + 1)
        for i, b in enumerate(blocked):
            equal(c.call("RPUSH", "queue", f"job {i}"), 1, "RPUSH")
            # The client that has waited longest is served first.
            equal(b.reply(), [b"queue", b"job %d" % i], "BLPOP")
        for b in blocked:
            b.sock.setblocking(False)
            try:
                raise AssertionError(f"more than one answer: {b.sock.recv(100)!r}")
            except BlockingIOError:
                pass
            b.close()
        equal(c.call("LLEN", "queue"), 0, "LLEN")

    # All at once, in threads, without waiting in between.
    got = []

    def work(i):
        with Client() as c:
            if i < 10:
                for _ in range(50):
                    got.append(c.call("BLPOP", "jobs", 10)[1])
            else:
                for n in range(50):
                    c.call("RPUSH", "jobs", f"{i}/{n}")

    together(20, work)
    equal(sorted(got), sorted(b"%d/%d" % (i, n) for i in range(10, 20) for n in range(50)), "jobs taken")
    return 20 + len(got)


def timers_fire_in_time():
    with Client() as c:
        for wait in (0.05, 0.3):
            start = time.monotonic()
            equal(c.call("BLPOP", "nothing", wait), None, "BLPOP of nothing")
            took = time.monotonic() - start
            # redis rounds to milliseconds; late is the machine's affair, within reason.
            assert wait - 0.002 <= took < wait + 3, f"BLPOP with a timeout of {wait} s took {took:.3f} s"
        # No client asks for the key: only redis's own timer can remove it.
        before = c.call("DBSIZE")
        c.call("SET", "short", "lived", "PX", 100)
        until("the key expires", lambda: c.call("DBSIZE") == before)


def requests_cut_off_are_dropped():
    base = connected()
    request = encode("SET", "half", b"x" * 1000)
    for i in range(60):
        c = Client()
        c.sock.sendall(request[: 1 + (i * 17) % (len(request) - 1)])
        c.reset() if i % 2 else c.close()
    # A reply that is being made when the client leaves, and one that had to wait for space.
    for i in range(10):
        c = Client()
        c.sock.sendall(encode("GET", "big") * 8)
        c.reset() if i % 2 else c.close()
    until("the server has noticed that the clients went", lambda: connected() == base)
    with Client() as c:
        equal(c.call("EXISTS", "half"), 0, "a request that was never complete was carried out")
    return 70


def closing_on_the_server_side_is_seen():
    with Client() as victim, Client() as c:
        number = victim.call("CLIENT", "ID")
        equal(c.call("CLIENT", "KILL", "ID", number), 1, "CLIENT KILL")
        equal(victim.file.read(), b"", "what a killed client reads")


def a_thousand_connections_at_once():
    base = connected()
    clients = [Client() for _ in range(1000)]
    rng = random.Random(3)
    for _ in range(3):
        rng.shuffle(clients)
        for i, c in enumerate(clients):
            c.send("ECHO", f"hello {i}")
        for i, c in enumerate(clients):
            equal(c.reply(), b"hello %d" % i, "ECHO")
    equal(connected(), base + 1000, "connected clients")
    for c in clients:
        c.close()
    until("the server has noticed that the clients went", lambda: connected() == base)
    return 1000


KEYS = 20_000


def a_save_in_the_background_disturbs_nobody():
    with Client() as c:
        c.sock.sendall(b"".join(encode("SET", f"saved:{i}", f"{i * i}") for i in range(KEYS)))
        for _ in range(KEYS):
            equal(c.reply(), b"OK", "SET")
        before = int(c.info("persistence", "rdb_saves"))
        equal(c.call("BGSAVE"), b"Background saving started", "BGSAVE")
        served = 0
        end = time.monotonic() + BOUND
        while int(c.info("persistence", "rdb_bgsave_in_progress")):
            c.call("SET", "after", served)
            served += 1
            assert time.monotonic() < end, "the save does not end"
        equal(c.info("persistence", "rdb_last_bgsave_status"), "ok", "BGSAVE status")
        equal(int(c.info("persistence", "rdb_saves")), before + 1, "number of saves")
        equal(c.call("GET", f"saved:{KEYS - 1}"), b"%d" % ((KEYS - 1) ** 2), "GET after the save")
    return served


def the_saved_data_is_there():
    with Client() as c:
        c.sock.sendall(b"".join(encode("GET", f"saved:{i}") for i in range(KEYS)))
        for i in range(KEYS):
            equal(c.reply(), b"%d" % (i * i), "a saved value")
        value = random.Random(2).randbytes(1_048_576)
        equal(c.call("GET", "big"), value, "the saved value of 1 MB")
    return KEYS


CHECKS = [
    every_increment_counts_once,
    values_come_back_as_they_were,
    a_client_that_does_not_read_holds_up_nobody,
    subscribers_get_every_message_in_order,
    blocked_clients_wake_one_by_one,
    timers_fire_in_time,
    requests_cut_off_are_dropped,
    closing_on_the_server_side_is_seen,
    a_thousand_connections_at_once,
    a_save_in_the_background_disturbs_nobody,
]
if sys.argv[2:] == ["loaded"]:
    CHECKS = [the_saved_data_is_there]

wrong = 0
done = []
for check in CHECKS:
    name = check.__name__.replace("_", " ")
    start = time.monotonic()
    try:
        count = check()
    except Exception as e:  # noqa: BLE001: every check is run, each failure reported
        print(f"redis: FAILED: {name}: {type(e).__name__}: {e}", file=sys.stderr)
        wrong += 1
    else:
        done.append(name + (f" ({count})" if count else ""))
if done:
    print("redis: " + "; ".join(done))
sys.exit(1 if wrong else 0)
