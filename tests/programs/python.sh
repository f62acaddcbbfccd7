#!/usr/bin/env bash
# Python: asyncio (level-triggered; ADD, MOD, DEL at every change of interest; a socketpair to wake
# itself; vfork for children), and CPython's own tests of epoll and of the modules that use it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/suites.sh"

cd "$WORK"
serve echo "$WAY" "$PYTHON" "$HERE/asyncio_echo.py" server
printed() { [ -s "$WORK/echo.out" ] || ! alive echo; }
until_true 20 printed || fail "the echo server prints no port"
port=$(head -n 1 "$WORK/echo.out")
await echo "$port"
for count in 200 20 200; do
    echoed=$(run "$WAY" timeout 90 "$PYTHON" "$HERE/asyncio_echo.py" client "$port" "$count" 2>"$WORK/client.err") ||
        fail "the echo client: status $?: $(tail -n 3 "$WORK/client.err" | tr '\n' ' ')"
done
say "asyncio: $echoed"
stop echo
((STATUS == 0)) || fail "the echo server ended with status $STATUS"

parts=$(run "$WAY" timeout 180 "$PYTHON" "$HERE/asyncio_echo.py" loop 2>"$WORK/loop.err") ||
    fail "the rest of the loop: status $?: $(tail -n 3 "$WORK/loop.err" | tr '\n' ' ')"
say "asyncio: $parts"

# All tests, since all of them pass on the kernel. Two processes at a time, because most of their
# time is sleep; by serve and not by the -j of the tests, whose processes would outlive an
# interrupted test.
[ -f "$("$PYTHON" -c 'import test.support as s; print(s.__file__)')" ] || fail "CPython's tests are not installed"
cpython() {
    local name=$1
    shift
    mkdir "$WORK/$name"
    serve "$name" "$WAY" env TMPDIR="$WORK/$name" "$PYTHON" -m test -W --timeout $((300 * PATIENCE)) "$@"
}
# Alone, because it asserts an accuracy of ten milliseconds.
cpython epoll test_epoll
cpython_passed epoll "1 test"
cpython asyncio test_asyncio
cpython others test_subprocess test_selectors
cpython_passed others "All 2 tests"
cpython_passed asyncio "1 test"
say "CPython's own test_asyncio, test_subprocess, test_selectors and test_epoll pass"
