"""Checks an nginx server's answers over plain blocking sockets.

nginx_client.py answers PORT FILES DIGEST-PORT   clients that are slow, cut off, piecemeal, old; bodies both ways
nginx_client.py steady PORT FILES SECONDS        new connections continuously; none may fail
nginx_client.py once PORT FILES                  one request
"""

import hashlib
import http.server
import os
import random
import socket
import struct
import sys
import threading
import time

BOUND = 20.0  # seconds any single step may take
MODE, PORT, FILES = sys.argv[1], int(sys.argv[2]), sys.argv[3]
CONTENT = {}
for name in os.listdir(FILES):
    with open(os.path.join(FILES, name), "rb") as f:
        CONTENT[name] = f.read()


def connect(receive_buffer=None):
    s = socket.socket()
    s.settimeout(BOUND)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.connect(("127.0.0.1", PORT))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def request(path, version="1.1", method="GET", extra=""):
    return f"{method} {path} HTTP/{version}\r\nHost: test\r\n{extra}\r\n".encode()


def response(file):
    """One response with a Content-Length, or in chunks: (status, body)."""
    line = file.readline()
    if not line:
        raise EOFError("closed before an answer")
    status = int(line.split()[1])
    length, chunked = None, False
    while (header := file.readline().rstrip(b"\r\n")) != b"":
        key, _, value = header.partition(b":")
        if key.lower() == b"content-length":
            length = int(value)
        if key.lower() == b"transfer-encoding":
            chunked = b"chunked" in value
    if chunked:
        body = b""
        while size := int(file.readline(), 16):
            body += file.read(size)
            file.readline()
        file.readline()
        return status, body
    assert length is not None, "no length"
    return status, file.read(length)


def expect(got, name, what):
    status, body = got
    if status != 200 or body != CONTENT[name]:
        raise AssertionError(f"{what}: status {status}, {len(body)} bytes, right ones: {body == CONTENT[name]}")


def together(count, work):
    failures = []

    def body(i):
        try:
            work(i)
        except BaseException as e:  # noqa: BLE001: re-raised in the caller
            failures.append(e)

    threads = [threading.Thread(target=body, args=(i,), daemon=True) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(4 * BOUND)
        if t.is_alive():
            raise AssertionError("a client thread hangs")
    if failures:
        raise failures[0]


def slow_readers_get_everything():
    """A client that pauses makes nginx wait for space: OUT edges, again and again."""

    def work(i):
        path = ("/files/5M", "/threads/5M", "/proxied/5M")[i % 3]
        rng = random.Random(i)
        with connect(receive_buffer=8192) as s, s.makefile("rb", buffering=4096) as f:
            s.sendall(request(path, extra="Connection: close\r\n"))
            while f.readline() not in (b"\r\n", b""):
                pass
            got, pauses = hashlib.sha256(), 0
            while True:
                data = f.read(rng.randrange(1, 300_000))
                if not data:
                    break
                got.update(data)
                if pauses < 40:
                    pauses += 1
                    time.sleep(rng.random() * 0.08)
            assert got.digest() == hashlib.sha256(CONTENT["5M"]).digest(), f"{path} to a slow reader came out wrong"

    together(24, work)


def the_connection_is_closed_after_http_1_0():
    def work(i):
        name = ("1k", "100k")[i % 2]
        for path in ("files", "threads", "proxied"):
            with connect() as s, s.makefile("rb") as f:
                s.sendall(request(f"/{path}/{name}", version="1.0"))
                head, _, body = f.read().partition(b"\r\n\r\n")
                assert b" 200 " in head.splitlines()[0], head
                assert body == CONTENT[name], f"HTTP/1.0 {path} brought {len(body)} bytes"

    together(30, work)


def requests_in_pieces_and_in_heaps():
    def work(i):
        with connect() as s, s.makefile("rb") as f:
            for byte in request("/files/1k"):
                s.sendall(bytes([byte]))
                if byte == ord("\n"):
                    time.sleep(0.005)
            expect(response(f), "1k", "a request that came byte by byte")
            # Many requests in one write; the later answers wait behind the first.
            s.sendall(request("/files/100k") + request("/files/1k") * 40 + request("/proxied/1k"))
            expect(response(f), "100k", "the first of many requests")
            for _ in range(41):
                expect(response(f), "1k", "one of many requests")
            # Half of it now, half after the answer to another request.
            whole = request("/threads/100k")
            s.sendall(request("/files/1k") + whole[:9])
            expect(response(f), "1k", "a whole request before half a one")
            s.sendall(whole[9:])
            expect(response(f), "100k", "a request in two halves")

    together(20, work)


def a_client_that_shuts_its_sending_side_gets_its_answer():
    # Only a small one: when nginx must wait for space, or for an upstream, it takes a half-closed
    # client for one that has gone (seen on the kernel: the rest of a large file is not sent).
    for _ in range(50):
        with connect() as s, s.makefile("rb") as f:
            s.sendall(request("/files/1k"))
            s.shutdown(socket.SHUT_WR)
            expect(response(f), "1k", "a file after the sending side was shut")
            assert f.read() == b"", "something after the answer"


def clients_that_go_in_the_middle_leave_no_trace():
    for i in range(60):
        s = connect(receive_buffer=8192)
        whole = request(("/files/5M", "/threads/5M", "/proxied/5M")[i % 3])
        s.sendall(whole[: 1 + i * 7 % len(whole)] if i % 2 else whole)
        if i % 4 == 0:
            s.recv(1000)
        if i % 3:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    with connect() as s, s.makefile("rb") as f:
        s.sendall(request("/files/1k"))
        expect(response(f), "1k", "a request afterwards")


class Digest(http.server.BaseHTTPRequestHandler):
    """The upstream of /digest: returns the digest of a body, or misbehaves as its path says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        if self.path == "/digest/drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            data = self.rfile.read(min(left, 100_000))
            digest.update(data)
            left -= len(data)
        answer = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(answer), 16):
            self.wfile.write(b"10\r\n%s\r\n" % answer[at : at + 16])
            self.wfile.flush()
            time.sleep(0.005)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class Upstream(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass


def bodies_pass_through_to_the_upstream():
    upstream = Upstream(("127.0.0.1", int(sys.argv[4])), Digest)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()

    def work(i):
        rng = random.Random(i)
        with connect() as s, s.makefile("rb") as f:
            for size in (1, 20_000, 1_000_000 if i % 2 else 3_000_000):
                body = rng.randbytes(size)
                s.sendall(request("/digest", method="POST", extra=f"Content-Length: {size}\r\n"))
                at = 0
                while at < size:
                    step = rng.choice((1, 1000, 65536, 300_000))
                    s.sendall(body[at : at + step])
                    at += step
                    if step == 1:
                        time.sleep(0.001)
                status, answer = response(f)
                assert status == 200, status
                assert answer.decode() == hashlib.sha256(body).hexdigest(), f"a body of {size} bytes came out wrong"

    together(16, work)
    # The hang-up of an upstream is noticed at once, not by a timeout.
    start = time.monotonic()
    for _ in range(10):
        with connect() as s, s.makefile("rb") as f:
            s.sendall(request("/digest/drop", method="POST", extra="Content-Length: 10\r\n") + b"x" * 10)
            assert response(f)[0] == 502, "no 502"
    assert time.monotonic() - start < BOUND, "an upstream that hung up was noticed late"
    # nginx retries an upstream only after ten seconds; the next steps do not use it.
    upstream.shutdown()
    upstream.server_close()


def many_connections_idle_and_then_all_at_once():
    held = [connect() for _ in range(1000)]
    files = [s.makefile("rb") for s in held]
    for _ in range(3):
        order = list(range(len(held)))
        random.shuffle(order)
        for i in order:
            held[i].sendall(request("/files/1k"))
        for f in files:
            expect(response(f), "1k", "one of a thousand connections")
        time.sleep(0.2)
    for f, s in zip(files, held):
        f.close()
        s.close()


def one_request():
    with connect() as s, s.makefile("rb") as f:
        s.sendall(request("/files/1k"))
        expect(response(f), "1k", "a request")


def steady(seconds):
    """Every request on a connection of its own, with the close announced, so that a reload must not
    cut any off."""
    end = time.monotonic() + seconds
    counts = [0] * 8

    def work(i):
        while time.monotonic() < end:
            path, name = (("/files", "1k"), ("/files", "100k"), ("/threads", "100k"), ("/proxied", "1k"))[counts[i] % 4]
            with connect() as s, s.makefile("rb") as f:
                s.sendall(request(f"{path}/{name}", extra="Connection: close\r\n"))
                expect(response(f), name, f"{path}/{name} during a reload")
                assert f.read() == b"", "something after the answer"
            counts[i] += 1

    together(8, work)
    print(f"{sum(counts)} requests answered")


if MODE == "steady":
    steady(float(sys.argv[4]))
    sys.exit()
if MODE == "once":
    one_request()
    sys.exit()

wrong = 0
done = []
for check in (
    slow_readers_get_everything,
    the_connection_is_closed_after_http_1_0,
    requests_in_pieces_and_in_heaps,
    a_client_that_shuts_its_sending_side_gets_its_answer,
    clients_that_go_in_the_middle_leave_no_trace,
    bodies_pass_through_to_the_upstream,
    many_connections_idle_and_then_all_at_once,
):
    name = check.__name__.replace("_", " ")
    try:
        check()
    except Exception as e:  # noqa: BLE001: every check is run, each failure reported
        print(f"nginx: FAILED: {name}: {type(e).__name__}: {e}", file=sys.stderr)
        wrong += 1
    else:
        done.append(name)
if done:
    print("nginx: " + "; ".join(done))
sys.exit(1 if wrong else 0)
