#!/usr/bin/env bash
# The tests that tornado, Twisted, uvloop, gevent and pyzmq publish: asyncio with tornado's servers
# and clients, Twisted's own epoll reactor, uvloop's own build of libuv, gevent's greenlets on libev
# and on libuv, and libzmq with its threads.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/suites.sh"

build=${CARGO_TARGET_DIR:-$HERE/../../target}/frameworks
mkdir -p "$build"
build=$(cd "$build" && pwd)
python=$build/venv/bin/python
# source_of PACKAGE: fetches tests that are only in its source.
source_of() {
    mkdir "$build/source/$1" &&
        timeout 300 "$python" -m pip -q download --no-deps --no-binary "$1" -d "$build/source" "$1==$(version "$1")" &&
        tar -xzf "$build/source/$1"-*.tar.gz -C "$build/source/$1" --strip-components 1 --wildcards '*/tests/*'
}
version() { sed -n "s/^$1==//p" "$HERE/frameworks.txt"; }
if ! cmp -s "$HERE/frameworks.txt" "$build/installed"; then
    rm -rf "$build"/{venv,source,installed}
    mkdir "$build/source"
    {
        "$PYTHON" -m venv "$build/venv" && timeout 300 "$python" -m pip -q install -r "$HERE/frameworks.txt" &&
            source_of uvloop && source_of pyzmq
    } >"$WORK/pip.out" 2>&1 || fail "the packages cannot be installed: $(tail -n 3 "$WORK/pip.out")"
    cp "$HERE/frameworks.txt" "$build/installed"
fi
cd "$WORK"
# All of them would fall back to poll without epoll.
check_python "$python"

# judge NAME CASES BASE… -- SELECTION…: runs python with BASE and SELECTION, and leaves its output
# in NAME.out. `CASES FILE` prints the failed cases from that output, each of which BASE runs by
# itself; REPEATED is their number. INSIDE is a prefix of python's command line.
INSIDE=()
judge() {
    local name=$1 cases=$2 status=0 failed
    BASE=()
    shift 2
    while [ "$1" != -- ]; do
        BASE+=("$1")
        shift
    done
    shift
    REPEATED=0
    watch_log "$WORK/$name.out"
    run "$WAY" timeout 600 "${INSIDE[@]}" "$python" "${BASE[@]}" "$@" >"$WORK/$name.out" 2>&1 </dev/null || status=$?
    ((status != 0)) || return 0
    mapfile -t failed < <("$cases" "$WORK/$name.out")
    repeat "$name's tests" one_case "${failed[@]}"
    REPEATED=${#failed[@]}
}
one_case() { run "$1" timeout 240 "${INSIDE[@]}" "$python" "${BASE[@]}" "$2"; }
# Skipped tests are listed as well, each kind under a heading of its own.
trial_cases() {
    awk '/^\[/ { listed = /^\[(FAIL|ERROR)\]/ } listed && /^twisted(\.[A-Za-z0-9_]+)+\.test_[A-Za-z0-9_]+$/' "$1" | sort -u
}
pytest_cases() { sed -nE 's/^(FAILED|ERROR) (tests[^ ]+).*/\2/p' "$1" | sort -u; }
# The number of passed tests, from pytest's last line: `1 failed, 260 passed, 3 skipped in 20.00s`.
pytest_passed() { sed -nE 's/^(.*[ ,])?([0-9]+) passed[, ].*/\2/p' "$1" | tail -n 1; }
# The modules of the groups that gevent's runner lists as unexpected failures.
gevent_cases() {
    sed -E 's/\x1b\[[0-9;]*m//g' "$1" | sed -n '/ unexpected failures$/,/^Ran /p' | grep -oE '\btest__[a-z_]+' | sort -u | sed 's/$/.py/'
}
# has_io_uring: whether the system permits a ring (io_uring_setup is 425 everywhere).
has_io_uring() {
    "$PYTHON" -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120)) < 0)'
}
# enough NAME PASSED LEAST
enough() {
    local passed=$((${2:-0} + REPEATED))
    ((passed >= $3)) || fail "only $passed of $1's own tests passed"
    say "$1 $(version "$1"): $passed of its own tests pass"
}

# Like `-m tornado.test`, except for one test, which is in it twice and gives its server a tenth of
# a second: on a busy processor it fails on the kernel's epoll too.
judge tornado python_cases -c '
from tornado.test.simple_httpclient_test import SimpleHTTPClientTestCase, SimpleHTTPSClientTestCase
for case in SimpleHTTPClientTestCase, SimpleHTTPSClientTestCase:
    assert case.test_request_timeout
    case.test_request_timeout = None
from tornado.test.runtests import all, main
main()' --
total=$(sed -n 's/^Ran \([0-9]*\) tests.*/\1/p' tornado.out)
skipped=$(sed -n 's/^\(OK\|FAILED\) (.*skipped=\([0-9]*\)).*/\2/p' tornado.out)
enough tornado $((${total:-0} - ${skipped:-0})) 1380

# Without the tests of children: some of them compare the whole environment of a child, to which the
# library would add its entry.
INSIDE=(env EPOLYFILL_CHILDREN=no)
judge twisted trial_cases -m twisted.trial --reactor=epoll -- twisted.internet twisted.protocols.test
enough twisted "$(sed -n 's/^\(PASSED\|FAILED\) (.*successes=\([0-9]*\))$/\2/p' twisted.out)" 1950

INSIDE=()

mkdir uvloop
cp -r "$build/source/uvloop/tests" uvloop
cd uvloop
# Without capturing: two of the tests redirect what pytest would have redirected. Left out are a
# test that must send 200 megabytes within a second of connecting, which fails on a busy processor
# on the kernel's epoll too, and one that compares the whole environment of a child.
judge uvloop pytest_cases -m pytest -q -rfE -s -p no:cacheprovider -- -k 'not process_env_2' --deselect tests/test_sockets.py::TestUVSockets::test_socket_cancel_sock_sendall \
    tests/test_{base,fs_event,pipes,process,process_spawning,signals,sockets,udp,unix}.py
cd ..
enough uvloop "$(pytest_passed uvloop.out)" 290

# Left out are core_timer, which asserts milliseconds, subprocess, which fails if sh is dash, and
# threadpool, which is slow. core_stat only on libuv, where it crashes or never ends one time in
# fifty, on the kernel's epoll too. Many tests assert hundredths of a second, which a busy processor
# does not keep: a group that fails is run once more.
gevent() {
    local name=gevent-$1 ran total skipped
    shift
    judge "$name" gevent_cases -m gevent.tests --second-chance -j2 -u none -- "$@" \
        test__core{,_async,_fork,_loop_run,_watcher}.py test__{backdoor,close_backend_fd,fileobject,greenio,hub,iwait,os,pywsgi}.py \
        test__example_{echoserver,portforwarder,udp_server}.py test__monkey_{select,selectors,sigchld}.py test__{select,selectors,signal}.py \
        test__server{,_pywsgi}.py test__socket{,_close,_errors,_ex,_send_memoryview,_timeout,pair}.py test__subprocess_poll.py
    # The last line, without its colours: Ran 534 tests (skipped=30) in 10 files in 00:21
    ran=$(sed -n 's/\x1b\[[0-9;]*m//g; s/^Ran \([0-9]*\) tests\( (skipped=\([0-9]*\))\)* in .*/\1 \3/p' "$name.out")
    read -r total skipped <<<"$ran"
    enough gevent $((${total:-0} - ${skipped:-0})) 370
}
backend=$(GEVENT_LOOP=libev-cext run "$WAY" "$python" -c 'import gevent; print(gevent.get_hub().loop.backend)')
[ "$backend" = epoll ] || fail "gevent's libev uses $backend"
GEVENT_LOOP=libev-cext gevent libev test__core_stat.py
GEVENT_LOOP=libuv-cffi gevent libuv

mkdir pyzmq
cp -r "$build/source/pyzmq/tests" pyzmq
cd pyzmq
# Left out are messages of two gigabytes, and a poll that a signal interrupts, which sometimes
# returns too early, on the kernel's epoll too.
judge pyzmq pytest_cases -m pytest -q -rfE -p no:cacheprovider -o asyncio_mode=auto -- -k 'not large_send and not retry_poll' \
    tests/test_{asyncio,auth,context,device,future,ioloop,monitor,multipart,pair,poll,proxy_steerable,pubsub,reqrep,retry_eintr,security,socket,zmqstream}.py
# A subscription and a message reach libzmq's thread by two connections, and the first to arrive
# must be handled first: poll does not report that order, a ring does.
if has_io_uring; then
    EPOLYFILL_POLLER=uring judge pyzmq-monqueue pytest_cases -m pytest -q -rfE -p no:cacheprovider -- tests/test_monqueue.py
fi
cd ..
enough pyzmq "$(pytest_passed pyzmq.out)" 240
