#!/usr/bin/env bash
# The tests of Go's own packages net, os/exec and os/signal, as static programs. They make thousands
# of connections, threads and children, and system calls in all threads at once.
. "$(dirname "$0")/lib.sh"
need go

cache=${CARGO_TARGET_DIR:-$HERE/../../target}/programs/go
mkdir -p "$cache"
export GOCACHE=$cache/cache GOPATH=$cache/path GOFLAGS= HOME=$WORK CGO_ENABLED=0
source=$(go env GOROOT)/src

# test PACKAGE POLLER…: its short tests, with each poller.
test_package() {
    local name=${1/\//-} poller
    go test -c -o "$cache/$name.test" "$1" >"$WORK/build.out" 2>&1 || fail "$1 does not build: $(tail -n 20 "$WORK/build.out")"
    cd "$source/$1"
    for poller in "${@:2}"; do
        EPOLYFILL_POLLER=$poller run "$WAY" "$cache/$name.test" -test.short -test.v -test.timeout 200s >"$WORK/$name.out" 2>&1 ||
            fail "$1, $poller: status $?: $(grep -A 12 -- '--- FAIL\|^panic\|^fatal\|^SIG' "$WORK/$name.out" | head -n 40)"
        say "$1, $poller: $(grep -c '^--- PASS' "$WORK/$name.out") tests"
    done
}

pollers=(poll uring)
[ "$WAY" != kernel ] || pollers=(poll)
test_package os/signal poll
test_package os/exec poll
test_package net "${pollers[@]}"
