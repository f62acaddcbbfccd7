"""An asyncio program that echoes, and one that checks the echo.

asyncio_echo.py server              prints its TCP port; status 0 on SIGTERM if no connection is left
asyncio_echo.py client PORT COUNT   COUNT connections with random messages of up to 256 kB
asyncio_echo.py loop                the rest: children, signals, pipes, threads, timers, datagrams
"""

import asyncio
import concurrent.futures
import os
import random
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

BOUND = 20.0  # seconds any single step may take


def uses_epoll():
    loop = asyncio.get_running_loop()
    # By name: a loop that fell back to poll() would prove nothing.
    name = type(loop._selector).__name__
    assert name == "EpollSelector", f"the loop waits by {name}"
    return loop


# --- server

open_connections = 0


async def echo(reader, writer):
    global open_connections
    open_connections += 1
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        open_connections -= 1
        writer.close()


async def server():
    loop = uses_epoll()
    end = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    listener = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await end.wait()
    listener.close()
    for _ in range(100):
        if not open_connections:
            break
        await asyncio.sleep(0.05)
    assert not open_connections, f"{open_connections} connections were never seen to end"


# --- client


async def converse(port, i):
    rng = random.Random(i)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    total = 0
    for _ in range(6):
        size = rng.choice((1, rng.randrange(1, 100), rng.randrange(1, 5000), rng.randrange(1, 262_145)))
        message = rng.randbytes(size)

        async def send():
            at = 0
            while at < size:
                step = rng.randrange(1, size + 1)
                writer.write(message[at : at + step])
                at += step
                await writer.drain()
                if rng.random() < 0.2:
                    await asyncio.sleep(rng.random() * 0.01)

        sending = asyncio.ensure_future(send())
        got = await asyncio.wait_for(reader.readexactly(size), BOUND)
        await sending
        assert got == message, f"connection {i}: {size} bytes came back wrong"
        total += size
    if i % 4 == 0:
        # Aborted, with bytes in flight in both directions.
        writer.write(b"x" * 50_000)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.write(b"the last words")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), BOUND) == b"the last words", "after the half close"
        writer.close()
        await writer.wait_closed()
    return total


async def client(port, count):
    uses_epoll()
    totals = await asyncio.wait_for(asyncio.gather(*(converse(port, i) for i in range(count))), 60)
    print(f"{count} connections, {sum(totals) // 1_000_000} MB echoed")


# --- the rest of the loop


async def children(loop):
    async def one(i):
        data = random.Random(i).randbytes(200_000)
        child = await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, close_fds=True
        )
        out, _ = await child.communicate(data)
        assert out == data, "what went through cat came back wrong"
        assert child.returncode == 0

    await asyncio.gather(*(one(i) for i in range(12)))
    shell = await asyncio.create_subprocess_shell("exit 7")
    assert await shell.wait() == 7
    sleeper = await asyncio.create_subprocess_exec("sleep", "60")
    sleeper.terminate()
    assert await sleeper.wait() == -signal.SIGTERM


async def signals(loop):
    seen = 0
    arrived = asyncio.Event()

    def on_signal():
        nonlocal seen
        seen += 1
        arrived.set()

    loop.add_signal_handler(signal.SIGUSR1, on_signal)
    for n in range(50):
        arrived.clear()
        # From another thread, so that the loop is, or is about to be, asleep.
        await loop.run_in_executor(None, os.kill, os.getpid(), signal.SIGUSR1)
        await arrived.wait()
        assert seen == n + 1
    loop.remove_signal_handler(signal.SIGUSR1)


async def pipes_by_readers_and_writers(loop):
    r, w = os.pipe()
    os.set_blocking(r, False)
    os.set_blocking(w, False)
    data = random.Random(9).randbytes(1_000_000)
    got, sent = bytearray(), 0
    done = loop.create_future()

    def readable():
        chunk = os.read(r, 10_000)
        if chunk:
            got.extend(chunk)
        else:
            loop.remove_reader(r)
            done.set_result(None)

    def writable():
        nonlocal sent
        sent += os.write(w, data[sent : sent + 100_000])
        if sent == len(data):
            loop.remove_writer(w)
            os.close(w)

    loop.add_reader(r, readable)
    loop.add_writer(w, writable)
    await done
    os.close(r)
    assert got == data

    # The same number again and again: earlier registrations of it must not report.
    for _ in range(200):
        r, w = os.pipe()
        heard = loop.create_future()
        loop.add_reader(r, lambda: heard.done() or heard.set_result(os.read(r, 10)))
        os.write(w, b"now")
        assert await heard == b"now"
        loop.remove_reader(r)
        os.close(r)
        os.close(w)


async def calls_from_threads(loop):
    counted = 0
    done = asyncio.Event()
    threads, each = 8, 500

    def count():
        nonlocal counted
        counted += 1
        if counted == threads * each:
            done.set()

    def work():
        for n in range(each):
            loop.call_soon_threadsafe(count)
            if n % 50 == 0:
                time.sleep(0.001)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        work_done = [loop.run_in_executor(pool, work) for _ in range(threads)]
        await done.wait()
        await asyncio.gather(*work_done)
    assert counted == threads * each
    # One wake-up at a time, with the loop asleep before each.
    for _ in range(50):
        woken = asyncio.Event()
        threading.Timer(0.002, loop.call_soon_threadsafe, (woken.set,)).start()
        await woken.wait()


async def timers(loop):
    async def one(seconds):
        start = time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - start
        # asyncio itself may be early by the resolution of its clock.
        assert seconds - 0.001 <= took < seconds + 2, f"a sleep of {seconds:.3f} s took {took:.3f} s"

    rng = random.Random(4)
    await asyncio.gather(*(one(rng.random() * 0.4) for _ in range(300)))
    for _ in range(50):
        await one(0.001)
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.1)
        raise AssertionError("no timeout")
    except asyncio.TimeoutError:
        pass


async def datagrams(loop):
    for family in (socket.AF_INET, socket.AF_UNIX):
        answers = asyncio.Queue()

        class Echo(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

            def datagram_received(self, data, peer):
                self.transport.sendto(data, peer)

        class Ask(asyncio.DatagramProtocol):
            def datagram_received(self, data, peer):
                answers.put_nowait(data)

        if family == socket.AF_INET:
            here, there = ("127.0.0.1", 0), ("127.0.0.1", 0)
        else:
            directory = tempfile.mkdtemp(dir=".")
            here, there = f"{directory}/here", f"{directory}/there"
        echo_side, _ = await loop.create_datagram_endpoint(Echo, local_addr=there, family=family)
        name = echo_side.get_extra_info("sockname")
        ask, _ = await loop.create_datagram_endpoint(Ask, local_addr=here, remote_addr=name, family=family)
        for n in range(300):
            message = b"%d " % n + b"x" * (n * 7 % 8000)
            ask.sendto(message)
            assert await answers.get() == message
        ask.close()
        echo_side.close()


async def an_epoll_within_the_loop(loop):
    """A loop can wait for an epoll descriptor."""
    inner = select.epoll()
    a, b = socket.socketpair()
    inner.register(a, select.EPOLLIN)
    heard = loop.create_future()

    def readable():
        for fd, _ in inner.poll(0):
            assert fd == a.fileno()
            a.recv(10)
            if not heard.done():
                heard.set_result(None)

    loop.add_reader(inner.fileno(), readable)
    await asyncio.sleep(0.05)
    assert not heard.done()
    b.send(b"x")
    await heard
    loop.remove_reader(inner.fileno())
    inner.close()
    a.close()
    b.close()


async def rest():
    loop = uses_epoll()
    done = []
    for part in (
        children,
        signals,
        pipes_by_readers_and_writers,
        calls_from_threads,
        timers,
        datagrams,
        an_epoll_within_the_loop,
    ):
        try:
            await asyncio.wait_for(part(loop), BOUND)
        except asyncio.TimeoutError:
            raise AssertionError(f"{part.__name__} hangs") from None
        done.append(part.__name__.replace("_", " "))
    print("; ".join(done))


if __name__ == "__main__":
    mode = sys.argv[1]
    if mode == "server":
        asyncio.run(server())
    elif mode == "client":
        asyncio.run(client(int(sys.argv[2]), int(sys.argv[3])))
    else:
        asyncio.run(rest())
