#!/usr/bin/env bash
# libevent's own tests, from Debian's source package, on Debian's libevent, with epoll as its only
# backend: level- and edge-triggered, ADD and MOD that correct each other (EEXIST, ENOENT), its
# changelist, timers by timerfd, signals, bufferevents with threads and TLS.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/debian-source.sh"
. "$(dirname "$0")/suites.sh"
need gcc

debian_source libevent
cd "$SOURCE"
if [ ! -f config.h ]; then
    ./configure --disable-samples >"$WORK/configure.out" 2>&1 || fail "configure: $(tail -n 3 "$WORK/configure.out")"
fi
regress=(regress.gen regress{,_buffer,_bufferevent,_dns,_et,_finalize,_http,_listener,_main,_minheap,_rpc,_ssl,_testutils,_thread,_util,_zlib} tinytest)
small=(test-eof test-closed test-weof test-time test-changelist test-fdleak test-init)
compile "$BUILD/objects" -DHAVE_CONFIG_H -DTINYTEST_LOCAL -D_GNU_SOURCE -I. -Iinclude -Icompat -Itest -- \
    $(printf 'test/%s.c ' "${regress[@]}" "${small[@]}")
link() {
    local program=$1
    shift
    gcc "${@/#/$BUILD/objects/}" -o "$BUILD/$program" -levent_core -levent_extra -levent_pthreads -levent_openssl \
        -lssl -lcrypto -lz -lpthread 2>"$WORK/gcc.out" || fail "$program does not link: $(tail -n 3 "$WORK/gcc.out")"
}
link regress "${regress[@]/%/.o}"
for name in "${small[@]}"; do link "$name" "$name.o"; done

# Left out, because they fail on the kernel's epoll too: tests that expect behaviour of TLS that
# OpenSSL 3 no longer has, and a test whose own race fails half of the time.
out=(:http/https_incomplete :http/https_incomplete_timeout :http/https_chunk_out
    :ssl/bufferevent_socketpair_dirty_shutdown :ssl/bufferevent_renegotiate_socketpair_dirty_shutdown
    :ssl/bufferevent_socketpair_startopen_dirty_shutdown
    :dns/getaddrinfo_cancel_stress)
# Each of these sleeps for six to thirteen seconds.
slow=(http/cancel_by_host_no_ns{,_inactive_server} http/cancel_by_host_inactive_server http/cancel_inactive_server
    http/cancel_by_host_ns_timeout{,_inactive_server})

# start NAME SETTINGS ARGS…: a run of the main program in the background, with SETTINGS
# (VARIABLE=VALUE, or nothing) in its environment; `finish` waits for all of them and adds up the
# passed tests in `count`.
export EVENT_NOPOLL=1 EVENT_NOSELECT=1
jobs=()
count=0
start() {
    local name=$1 settings=$2
    shift 2
    watch_log "$WORK/$name.out"
    run "$WAY" env $settings timeout 120 "$BUILD/regress" "$@" >"$WORK/$name.out" 2>&1 </dev/null &
    jobs+=("$!:$name:$settings")
}
one_case() { run "$1" env $settings timeout 120 "$BUILD/regress" "$2"; }
finish() {
    local pid name settings passed failed
    for job in "${jobs[@]}"; do
        IFS=: read -r pid name settings <<<"$job"
        if ! wait "$pid"; then
            mapfile -t failed < <(sed -n 's/^ *\[\(.*\) FAILED\]$/\1/p' "$WORK/$name.out")
            repeat "libevent's tests" one_case "${failed[@]}"
            count=$((count + ${#failed[@]}))
        fi
        passed=$(sed -nE 's/^([0-9]+) tests ok\..*/\1/p; s|^([0-9]+)/([0-9]+) TESTS FAILED.*|\2-\1|p' "$WORK/$name.out")
        count=$((count + ${passed:-0}))
    done
    jobs=()
}
for test in "${slow[@]}"; do start "${test//\//-}" "" "$test"; done
start all "" "${slow[@]/#/:}" "${out[@]}"
finish
main=$count
((main >= 300)) || fail "only $main of libevent's tests passed"

# Once more with changes deferred to the wait, and with a timerfd for timeouts.
count=0
start changelist EVENT_EPOLL_USE_CHANGELIST=yes main/.. et/.. signal/.. bufferevent/.. listener/..
start timerfd EVENT_PRECISE_TIMER=1 main/.. et/.. thread/..
finish
((count >= 160)) || fail "only $count of libevent's tests passed in its other two modes"
for name in "${small[@]}"; do
    for changelist in '' EVENT_EPOLL_USE_CHANGELIST=yes; do
        run "$WAY" env $changelist timeout 60 "$BUILD/$name" >"$WORK/$name.out" 2>&1 </dev/null ||
            fail "libevent's $name${changelist:+ with the changelist}: status $?"
    done
done
say "libevent $(sed -n 's/^libevent (\(.*\)) .*/\1/p' debian/changelog | head -n 1): $main of its own tests pass," \
    "$count once more with the changelist or a timerfd, and ${#small[@]} small programs twice"
