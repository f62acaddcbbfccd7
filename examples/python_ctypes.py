#!/usr/bin/env python3
"""epolyfill from Python, through ctypes: an instance, control calls, a wait, and a callback that is
written in Python.

It shows how a language without a binding of its own calls the library: struct epoll_event as on
Linux (packed only on x86_64), errno, and a C function that calls back from a thread which Python
did not start. Only the library has to be built:

  cargo build --release
  python3 examples/python_ctypes.py                       # finds target/release/libepolyfill.so
  python3 examples/python_ctypes.py /usr/local/lib/libepolyfill.so

Each step is printed. Python's own select.epoll keeps using libc, because a library that is loaded
this late does not interpose libc's names. For the same reason the library does not see Python's
reads and writes, so a program like this one should prefer level-triggered registrations.
"""

import ctypes
import errno
import os
import platform
import select
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p


class EpollEvent(ctypes.Structure):
    _pack_ = 1 if platform.machine() == "x86_64" else 8
    _fields_ = [("events", c_uint32), ("data", c_uint64)]


# Constants of epolyfill.h and <sys/epoll.h>; the event bits are in Python's select.
ADD, DEL, MOD = 1, 2, 3
CLOEXEC = 0o2000000
Callback = CFUNCTYPE(None, POINTER(EpollEvent), c_int, c_void_p)


def load(path):
    # With use_errno, ctypes keeps errno for get_errno().
    library = ctypes.CDLL(path, use_errno=True)
    library.epolyfill_version.restype = c_char_p
    library.epolyfill_version.argtypes = []
    library.epolyfill_create1.argtypes = [c_int]
    library.epolyfill_ctl.argtypes = [c_int, c_int, c_int, POINTER(EpollEvent)]
    library.epolyfill_wait.argtypes = [c_int, POINTER(EpollEvent), c_int, c_int]
    library.epolyfill_set_callback.argtypes = [c_int, Callback, c_void_p]
    library.epolyfill_close.argtypes = [c_int]
    return library


def check(result, what):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../target/release/libepolyfill.so")
    library = load(path)
    print("loaded: version", library.epolyfill_version().decode())

    ep = check(library.epolyfill_create1(CLOEXEC), "epolyfill_create1")
    print("created: an instance, which is", os.readlink(f"/proc/self/fd/{ep}").split(":")[0])

    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    wanted = EpollEvent(select.EPOLLIN, 42)
    check(library.epolyfill_ctl(ep, ADD, reader, byref(wanted)), "epolyfill_ctl")
    print("added: the reading end of a pipe, with 42 as its data")
    if library.epolyfill_ctl(ep, ADD, reader, byref(wanted)) == -1:
        print("added again:", errno.errorcode[ctypes.get_errno()])

    events = (EpollEvent * 8)()
    print("waited, nothing written:", check(library.epolyfill_wait(ep, events, 8, 10), "epolyfill_wait"), "events")
    os.write(writer, b"hello")
    n = check(library.epolyfill_wait(ep, events, 8, 1000), "epolyfill_wait")
    print(f"waited: {n} event, data {events[0].data}, EPOLLIN {bool(events[0].events & select.EPOLLIN)}")
    print("read:", os.read(reader, 100).decode())

    # ctypes acquires the interpreter's lock for the duration of the call, in any thread.
    heard = []
    all_heard = threading.Event()

    def on_events(events, n, _user):
        for i in range(n):
            try:
                heard.append((events[i].data, os.read(reader, 100).decode()))
            except BlockingIOError:
                pass
            if len("".join(text for _, text in heard)) >= len("onetwothree"):
                all_heard.set()

    callback = Callback(on_events)  # must live as long as the library may call it
    check(library.epolyfill_set_callback(ep, callback, None), "epolyfill_set_callback")
    for word in ("one", "two", "three"):
        os.write(writer, word.encode())
    if not all_heard.wait(10):
        raise SystemExit("the callback was not called in ten seconds")
    check(library.epolyfill_set_callback(ep, Callback(), None), "epolyfill_set_callback")
    print("called back with data", {data for data, _ in heard}.pop(), "and heard", "".join(text for _, text in heard))

    check(library.epolyfill_ctl(ep, DEL, reader, None), "epolyfill_ctl")
    os.write(writer, b"unheard")
    print("deleted:", check(library.epolyfill_wait(ep, events, 8, 10), "epolyfill_wait"), "events")
    check(library.epolyfill_close(ep), "epolyfill_close")
    for fd in (reader, writer):
        os.close(fd)
    print("closed: done")


if __name__ == "__main__":
    main()
