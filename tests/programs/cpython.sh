#!/usr/bin/env bash
# CPython's own tests of the calls that the library interposes: sockets, poll and select, calls that
# EINTR interrupts, signals, servers in threads and in forked processes. (The tests of epoll itself,
# and of asyncio, are in python.sh.)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/suites.sh"
[ -f "$("$PYTHON" -c 'import test.support as s; print(s.__file__)')" ] || fail "CPython's tests are not installed"
cd "$WORK"
check_python "$PYTHON"

cpython() {
    local name=$1
    shift
    mkdir "$WORK/$name"
    serve "$name" "$WAY" env TMPDIR="$WORK/$name" "$PYTHON" -m test -W --timeout 150 "$@"
    # The test runner has the library loaded too: most of the tests never create an instance, but
    # use calls that the library interposes.
    [ "$WAY" = kernel ] || until_true 10 is_loaded "$name" || fail "CPython's tests run without the library"
}
is_loaded() { tr '\0' ' ' <"/proc/${PID[$1]}/cmdline" | grep -q -- '-m test' && grep -q libepolyfill "/proc/${PID[$1]}/maps"; }
# Local AF_VSOCK connections never complete in a virtual machine without vsock support, on the
# kernel's epoll too.
cpython sockets -i '*ThreadedVSOCKSocketStreamTest*' test_socket test_poll test_select test_asyncore test_asynchat
cpython interrupted -u network test_eintr test_socketserver test_signal
cpython_passed sockets 'All 5 tests'
cpython_passed interrupted 'All 3 tests'
say "CPython's own test_socket, test_poll, test_select, test_asyncore, test_asynchat, test_eintr, test_socketserver and test_signal pass"
