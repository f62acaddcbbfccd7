"""Loads a memcached and compares every answer: memcached_client.py PORT CONNECTIONS.

The client runs on the kernel's epoll: the tested program is memcached.
"""

import asyncio
import random
import sys

COMMANDS = 20000


async def expect(reader, wanted):
    got = await asyncio.wait_for(reader.readexactly(len(wanted)), 60)
    assert got == wanted, (got[:60], wanted[:60])


async def stats(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"stats\r\n")
    values = {}
    while (line := (await asyncio.wait_for(reader.readline(), 60)).split())[0] != b"END":
        values[line[1].decode()] = line[2].decode()
    writer.close()
    await writer.wait_closed()
    return {name: int(values[name]) for name in ("cmd_get", "cmd_set", "get_hits", "get_misses", "curr_connections")}


async def connection(port, number, rounds, all_there):
    """Sets and gets a value, several in one write, a missing one, one longer than any buffer, and a
    counter."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    all_there[0] -= 1
    if all_there[0] == 0:
        all_there[1].set()
    await asyncio.wait_for(all_there[1].wait(), 60)
    rng = random.Random(number)
    sets = gets = hits = 0
    key = b"key%d" % number
    for i in range(rounds):
        value = rng.randbytes(rng.randrange(200_000 if i % 20 == 7 else 2_000))
        store = b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value)
        there = b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value)
        if i % 3 == 0:
            # Half a command, and the rest of it after the server has returned to its wait.
            cut = rng.randrange(1, len(store))
            writer.write(store[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(store[cut:])
        else:
            writer.write(store)
        await writer.drain()
        await expect(reader, b"STORED\r\n")
        copies = 1 + i % 4
        writer.write((b"get %s\r\n" % key) * copies + b"get missing%d\r\n" % number)
        await writer.drain()
        await expect(reader, there * copies + b"END\r\n")
        sets, gets, hits = sets + 1, gets + copies + 1, hits + copies
    writer.write(b"quit\r\n")
    assert await asyncio.wait_for(reader.read(), 60) == b"", "more than was asked for"
    writer.close()
    return sets, gets, hits


async def main(port, connections):
    before = await stats(port)
    rounds = max(5, COMMANDS // 4 // connections)
    if connections == 1:
        rounds = 1000
    all_there = [connections, asyncio.Event()]
    done = await asyncio.gather(*(connection(port, n, rounds, all_there) for n in range(connections)))
    sets, gets, hits = (sum(column) for column in zip(*done))
    after = await stats(port)
    counted = {name: after[name] - before[name] for name in after}
    assert counted["cmd_set"] == sets and counted["cmd_get"] == gets, (counted, sets, gets)
    assert counted["get_hits"] == hits and counted["get_misses"] == gets - hits, (counted, hits)
    for _ in range(100):
        # Every connection that was closed is closed there too.
        if (await stats(port))["curr_connections"] == before["curr_connections"]:
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError("connections are left")
    print(f"{connections} connections: {sets} values set, {gets} gets compared and counted")


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
