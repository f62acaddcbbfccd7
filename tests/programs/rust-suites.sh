#!/usr/bin/env bash
# The tests that tokio, polling and async-io publish with their crates, unmodified: tokio's I/O
# driver (edge-triggered, one eventfd that is never read) in every kind of runtime; polling's
# one-shot, level and edge modes, notifications, timeouts and changes by other threads; async-io's
# sockets, timers and descriptors of other kinds. (mio's crate comes without its tests.)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/suites.sh"
need cargo

build=${CARGO_TARGET_DIR:-$HERE/../../target}/rust-suites
mkdir -p "$build"
build=$(cd "$build" && pwd)

# The tests of tokio that involve the event loop. Left out are tests for other systems and for
# unstable features, and those of channels, locks, tasks and in-memory streams.
tokio_tests=(
    fs_file io_async_fd io_copy_bidirectional io_driver io_driver_drop io_panic
    net_bind_resource net_lookup_host net_panic net_quickack net_unix_pipe no_rt
    process_arg0 process_change_of_runtime process_issue_{2174,42,7144,8042} process_kill_after_wait process_kill_on_drop
    process_raw_handle process_smoke
    rt_basic rt_blocking_thread_exhaust rt_busy_tick rt_common rt_common_before_park rt_handle rt_handle_block_on rt_local rt_metrics
    rt_panic rt_shutdown_err rt_spawn_blocking rt_threaded rt_time_start_paused rt_worker_index
    signal_ctrl_c signal_drop_{recv,rt,signal} signal_info signal_multi_rt signal_no_rt signal_notify_both signal_panic
    signal_realtime signal_twice signal_usr1
    tcp_accept tcp_accept_ready tcp_connect tcp_echo tcp_into_split tcp_into_std tcp_peek tcp_shutdown tcp_socket tcp_split tcp_stream
    time_interval time_rt time_sleep time_timeout
    udp uds_cred uds_datagram uds_socket uds_split uds_stream unix_shutdown
)
polling_tests=(concurrent_modification io many_connections multiple_pollers notify other_modes precision timeout)
async_io_tests=(async block_on issue_182 timer)

# The crates' sources are in cargo's registry; their tests go into a copy of the shell packages,
# which have the tests' dependencies.
cp -rp "$HERE/rust-suites/." "$build"
cargo_here() { CARGO_TARGET_DIR=$build/target cargo "$@" --locked --manifest-path "$build/Cargo.toml"; }
cargo_here metadata --format-version 1 >"$WORK/metadata" 2>"$WORK/build.err" ||
    fail "the crates cannot be fetched: $(tail -n 3 "$WORK/build.err")"
# crate NAME: makes a copy of its source, in which its tests also run: some read files next to them.
crate() {
    local from
    from=$("$PYTHON" - "$WORK/metadata" "$1" <<'PY'
import json, os, sys
(found,) = {p["manifest_path"] for p in json.load(open(sys.argv[1]))["packages"] if p["name"] == sys.argv[2]}
print(os.path.dirname(found))
PY
    )
    rm -rf "$build/crates/$1" "$build/$1/tests"
    mkdir -p "$build/crates" "$build/$1/tests"
    cp -rp "$from" "$build/crates/$1"
}
# given CRATE TESTS…
given() {
    local name=$1 test
    shift
    crate "$name"
    [ ! -d "$build/crates/$name/tests/support" ] || cp -rp "$build/crates/$name/tests/support" "$build/$name/tests"
    for test; do
        cp -p "$build/crates/$name/tests/$test.rs" "$build/$name/tests"
    done
}
given tokio "${tokio_tests[@]}"
given polling "${polling_tests[@]}"
given async-io "${async_io_tests[@]}"
cargo_here test --no-run --message-format=json >"$WORK/built" 2>"$WORK/build.err" ||
    fail "the tests do not build: $(grep -A 5 '^error' "$WORK/build.err" | tail -n 20)"
"$PYTHON" - "$WORK/built" >"$WORK/programs" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    d = json.loads(line)
    if d["reason"] == "compiler-artifact" and d.get("executable"):
        print(d["manifest_path"].split("/")[-2], d["target"]["name"], d["executable"])
PY

# It times a second that begins before a thread is started, but reads the clock a moment later: too
# late on a busy processor, on the kernel's epoll as well (27 of 720 runs, 60 at a time).
left_out=first_cannot_wake_second

# suite CRATE [POLLER]: runs one program after the other, each of which runs its tests in threads.
# Leaves in $WORK/CRATEPOLLER.passed the number of passed tests, in .failed a line for each failed
# case (`PROGRAM CASE`), and in .broken the programs that failed without naming a case.
suite() {
    local name=$1 poller=${2:-} of program path status out
    local results=$WORK/$name$poller
    [ -z "$poller" ] || local -x EPOLYFILL_POLLER=$poller
    mkdir -p "$results"
    : >"$results.failed"
    : >"$results.broken"
    cd "$build/crates/$name"
    while read -r of program path; do
        [ "$of" = "$name" ] || continue
        status=0
        out=$results/$program
        run "$WAY" timeout 120 "$path" --skip "$left_out" >"$out" 2>&1 </dev/null || status=$?
        ((status != 0)) || continue
        tail -n 60 "$out" >>"$results.log"
        sed -nE "s#^test (.*[^ ])( - should panic)? \.\.\. FAILED\$#$path \1#p" "$out" >"$out.failed"
        [ -s "$out.failed" ] || echo "$program (status $status)" >>"$results.broken"
        cat "$out.failed" >>"$results.failed"
    done <"$WORK/programs"
    sed -n 's/^test result: .* \([0-9]*\) passed.*/\1/p' "$results"/* | awk '{ n += $1 } END { print n + 0 }' >"$results.passed"
}
one_case() { run "$1" timeout 120 "${2%% *}" --exact "${2#* }"; }
# settle CRATE TESTS [POLLER]: all of the crate's tests ran, and the failed ones do not fail because
# of the library.
settle() {
    local name=$1 tests=$2 poller=${3:-} passed failed
    local results=$WORK/$name$poller
    [ -z "$poller" ] || local -x EPOLYFILL_POLLER=$poller
    watch_log "$results.log"
    [ ! -s "$results.broken" ] || fail "$name's tests failed without naming a case: $(tr '\n' ' ' <"$results.broken")"
    passed=$(cat "$results.passed")
    mapfile -t failed <"$results.failed"
    ((passed + ${#failed[@]} == tests)) || fail "$name: $((passed + ${#failed[@]})) tests ran, not $tests"
    cd "$build/crates/$name"
    ((${#failed[@]} == 0)) || repeat "$name's tests" one_case "${failed[@]}"
    say "$name $(version "$name"): $tests of its own tests pass${poller:+ ($poller)}"
}
version() { sed -n "s/^$1 = .*\"=\([0-9.]*\)\".*/\1/p" "$HERE/rust-suites/$1/Cargo.toml"; }

# rustix is as these two have it: it makes its system calls itself, which are trapped. They spend
# their time asleep, so they run at the same time.
pollers=(poll uring auto)
[ "$WAY" != kernel ] || pollers=(poll)
for poller in "${pollers[@]}"; do
    suite async-io "$poller" &
    other=$!
    suite polling "$poller"
    wait "$other"
done
suite tokio
settle tokio 516
for poller in "${pollers[@]}"; do
    settle polling 19 "$poller"
    settle async-io 24 "$poller"
done
