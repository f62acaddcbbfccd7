#!/usr/bin/env bash
# Python: asyncio (level-triggered; ADD, MOD, DEL at every change of mind; a socketpair to wake itself; vfork for children), and
# the tests that CPython itself has for epoll and what stands on it.
. "$(dirname "$0")/lib.sh"

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

# None is left out: all of them pass on the kernel. Two at a time, because most of their time is sleep. The processes that -j starts
# inherit the library and the filter.
tests=(test_asyncio test_subprocess test_selectors test_epoll)
[ -f "$("$PYTHON" -c 'import test.support as s; print(s.__file__)')" ] || fail "CPython's tests are not installed"
watch_log "$WORK/cpython.out"
mkdir "$WORK/tmp"
TMPDIR=$WORK/tmp run "$WAY" timeout 400 "$PYTHON" -m test -j2 --timeout 300 "${tests[@]}" >"$WORK/cpython.out" 2>&1 ||
    fail "CPython's own tests: status $?: $(grep -E '^(FAIL|ERROR):| failed' "$WORK/cpython.out" | sort -u | tr '\n' ';')"
grep -q "^All ${#tests[@]} tests OK" "$WORK/cpython.out" || fail "CPython's own tests did not all run"
say "CPython's own ${tests[*]} pass"
