#!/usr/bin/env bash
# The tests that tornado, Twisted and uvloop publish: asyncio with tornado's servers and clients, Twisted's own epoll reactor, and a libuv
# of uvloop's own in another build than Debian's.
. "$(dirname "$0")/lib.sh"

build=${CARGO_TARGET_DIR:-$HERE/../../target}/frameworks
mkdir -p "$build"
build=$(cd "$build" && pwd)
python=$build/venv/bin/python
if ! cmp -s "$HERE/frameworks.txt" "$build/installed"; then
    rm -rf "$build"/{venv,source,installed}
    mkdir "$build/source"
    version=$(sed -n 's/^uvloop==//p' "$HERE/frameworks.txt")
    {
        "$PYTHON" -m venv "$build/venv" && timeout 300 "$python" -m pip -q install -r "$HERE/frameworks.txt" &&
            timeout 300 "$python" -m pip -q download --no-deps --no-binary uvloop -d "$build/source" "uvloop==$version" &&
            tar -xzf "$build"/source/uvloop-*.tar.gz -C "$build/source" --strip-components 1 --wildcards '*/tests/*'
    } >"$WORK/pip.out" 2>&1 || fail "the packages cannot be had: $(tail -n 3 "$WORK/pip.out")"
    cp "$HERE/frameworks.txt" "$build/installed"
fi
version() { sed -n "s/^$1==//p" "$HERE/frameworks.txt"; }
cd "$WORK"
# They would all do with poll where there is no epoll.
check_python "$python"

# judge NAME ARGS…: leaves the output in NAME.out.
judge() {
    local name=$1 status=0
    shift
    watch_log "$WORK/$name.out"
    run "$WAY" timeout 240 "$python" "$@" >"$WORK/$name.out" 2>&1 </dev/null || status=$?
    ((status == 0)) || fail "$name's own tests: status $status: $(grep -E '^(FAIL|ERROR|FAILED|\[FAIL\]|\[ERROR\])' "$WORK/$name.out" | sort -u | head -n 8 | tr '\n' ';')"
}
# enough NAME PASSED LEAST
enough() {
    (($2 >= $3)) || fail "only $2 of $1's own tests passed"
    say "$1 $(version "$1"): $2 of its own tests pass"
}

# As `-m tornado.test`, but for a test that is in it twice and gives its server a tenth of a second: on a busy processor it fails on the kernel's
# epoll too.
judge tornado -c '
from tornado.test.simple_httpclient_test import SimpleHTTPClientTestCase, SimpleHTTPSClientTestCase
for case in SimpleHTTPClientTestCase, SimpleHTTPSClientTestCase:
    assert case.test_request_timeout
    case.test_request_timeout = None
from tornado.test.runtests import all, main
main()'
total=$(sed -n 's/^Ran \([0-9]*\) tests.*/\1/p' tornado.out)
skipped=$(sed -n 's/^OK (skipped=\([0-9]*\))$/\1/p' tornado.out)
enough tornado $((${total:-0} - ${skipped:-0})) 1380

judge twisted -m twisted.trial --reactor=epoll twisted.internet twisted.protocols.test
enough twisted "$(sed -n 's/^PASSED (.*successes=\([0-9]*\))$/\1/p' twisted.out | grep . || echo 0)" 1950

mkdir uvloop
cp -r "$build/source/tests" uvloop
cd uvloop
# Without capturing: two of the tests redirect what pytest would have redirected. Left out is one that has to send 200 megabytes within a
# second of connecting, and on a busy processor does not on the kernel's epoll either.
judge uvloop -m pytest -q -s -p no:cacheprovider --deselect tests/test_sockets.py::TestUVSockets::test_socket_cancel_sock_sendall \
    tests/test_{base,fs_event,pipes,process,process_spawning,signals,sockets,udp,unix}.py
cd ..
enough uvloop "$(sed -n "s/.*[^0-9]\([0-9][0-9]*\) passed.*/\1/p; s/^\([0-9][0-9]*\) passed.*/\1/p" uvloop.out | grep . || echo 0)" 290
