"""A client of a name server: dns_client.py PORT NAMES QUERIES. Queries the addresses of host0 …
hostNAMES-1.test. in random order, QUERIES times by UDP with 64 in flight, and each name once by TCP
over 20 connections with four queries in one write. Every answer is compared."""

import random
import selectors
import socket
import struct
import sys

PORT, NAMES, QUERIES = map(int, sys.argv[1:])
HERE = ("127.0.0.1", PORT)


def question(number, ident):
    name = b"".join(bytes([len(part)]) + part for part in (b"host%d" % number, b"test")) + b"\0"
    return struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1)


def check(answer, number, ident):
    got, flags, _, answers = struct.unpack("!4H", answer[:8])
    assert got == ident and flags & 0x800F == 0x8000 and answers == 1, f"a wrong answer for host{number}: {answer!r}"
    address = bytes([10, 0, number >> 8, number & 255])
    assert address in answer, f"host{number} has the wrong address: {answer!r}"


def by_udp():
    rest, under_way, done = QUERIES, {}, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(HERE)
        s.settimeout(5)
        while done < QUERIES:
            while rest and len(under_way) < 64:
                number, ident = random.randrange(NAMES), rest & 0xFFFF
                under_way[ident] = number
                s.send(question(number, ident))
                rest -= 1
            answer = s.recv(2048)
            (ident,) = struct.unpack("!H", answer[:2])
            check(answer, under_way.pop(ident), ident)
            done += 1
    return done


def by_tcp():
    waiting = selectors.PollSelector()
    numbers = iter(range(NAMES))
    done = 0

    def ask(s):
        asked = [n for _, n in zip(range(4), numbers)]
        if not asked:
            waiting.unregister(s)
            s.close()
            return
        s.sendall(b"".join(struct.pack("!H", len(q)) + q for q in (question(n, n) for n in asked)))
        waiting.modify(s, selectors.EVENT_READ, (set(asked), bytearray()))

    for _ in range(20):
        s = socket.create_connection(HERE, 5)
        waiting.register(s, selectors.EVENT_READ)
        ask(s)
    while waiting.get_map():
        ready = waiting.select(5)
        assert ready, "no answer by TCP in 5 s"
        for key, _ in ready:
            asked, buffer = key.data
            piece = key.fileobj.recv(65536)
            assert piece, "the server closed the connection"
            buffer += piece
            while len(buffer) >= 2 and len(buffer) >= 2 + (size := struct.unpack("!H", buffer[:2])[0]):
                answer = bytes(buffer[2 : 2 + size])
                del buffer[: 2 + size]
                (number,) = struct.unpack("!H", answer[:2])
                asked.remove(number)
                check(answer, number, number)
                done += 1
            if not asked:
                ask(key.fileobj)
    return done


print(f"{by_udp()} answers by UDP and {by_tcp()} by TCP, all right")
