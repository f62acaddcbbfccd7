#!/usr/bin/env bash
# libuv's own tests, from Debian's source package, on Debian's libuv: level-triggered,
# edge-triggered for its wake-up descriptor, closes by syscall(SYS_close), fork, threads, signals
# through a pipe, processes that pass descriptors to each other.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/debian-source.sh"
. "$(dirname "$0")/suites.sh"
need gcc

debian_source libuv1
cd "$SOURCE"
program=$BUILD/run-tests
compile "$BUILD/objects" -D_GNU_SOURCE -Iinclude -Isrc -Itest -- \
    test/test-*.c test/run-tests.c test/runner.c test/runner-unix.c test/echo-server.c test/blackhole-server.c
gcc "$BUILD"/objects/*.o -o "$program" -luv -lpthread -ldl 2>"$WORK/gcc.out" || fail "the tests do not link: $(tail -n 3 "$WORK/gcc.out")"

# These fail on the kernel's epoll as well: the first one as root, whose writes no file mode
# prevents; the others connect to outside addresses, and fail if the network refuses them instead of
# dropping the packets.
excused='fs_copyfile|tcp_connect_timeout|tcp_close_while_connecting'

# As Debian builds it: no DNS queries, twice the timeouts. The tests refuse to run as root without
# the setting.
watch_log "$WORK/out"
status=0
# suite WAY [CASE]
suite() {
    local way=$1
    shift
    run "$way" env UV_RUN_AS_ROOT=1 RES_OPTIONS=attempts:0 UV_TEST_TIMEOUT_MULTIPLIER=2 timeout 240 "$program" "$@" </dev/null
}
suite "$WAY" >"$WORK/out" 2>&1 || status=$?
planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$WORK/out")
passed=$(grep '^ok ' "$WORK/out" | grep -vc ' # SKIP' || true)
skipped=$(grep -c '^ok .* # SKIP' "$WORK/out" || true)
wrong=$(sed -n 's/^not ok [0-9]* - //p' "$WORK/out")
mapfile -t bad < <(grep -vxE "$excused" <<<"$wrong" | grep . || true)
[ "${planned:-0}" = "$(grep -cE '^(not )?ok ' "$WORK/out")" ] || fail "libuv's tests ended early, with status $status"
if ((${#bad[@]})); then
    repeat "libuv's tests" suite "${bad[@]}"
    passed=$((passed + ${#bad[@]}))
fi
((passed >= 399)) || fail "only $passed of libuv's tests passed ($skipped skipped)"
say "libuv $(sed -n 's/^libuv1 (\(.*\)) .*/\1/p' debian/changelog | head -n 1): $passed of $planned own tests pass, $skipped skip themselves" \
    "${wrong:+(of those that fail on the kernel too: $(grep -xE "$excused" <<<"$wrong" | tr "\n" " "))}"
