#!/usr/bin/env bash
# Go programs under the observer: a finding names the places in the program, static or not, although
# its calls come from a stack of their own; the summary, the trace and the counters are there when it
# ends by a system call of its own. The argument is the launcher.
set -Eeuo pipefail
trap 'echo "line $LINENO: status $?" >&2' ERR
launcher=$1
here=$(cd "$(dirname "$0")" && pwd)/go
command -v go >/dev/null || { echo "skipped: go is not installed"; exit 77; }

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cache=${CARGO_TARGET_DIR:-$here/../../../target}/programs/go
mkdir -p "$cache"
export GOCACHE=$cache/cache GOPATH=$cache/path GOFLAGS= HOME=$room
CGO_ENABLED=0 go build -o "$room/static" "$here/unread.go"
CGO_ENABLED=1 go build -o "$room/dynamic" "$here/unread.go" "$here/cgo.go"
line=$(grep -n '// added here' "$here/unread.go" | cut -d: -f1)

expect() { # what, file, pattern
    grep -qE "$3" "$2" || { echo "FAILED: $1: no line has $3:" >&2; cat "$2" >&2; exit 1; }
}

for program in static dynamic; do
    for poller in kernel poll; do
        status=0
        "$launcher" --audit --audit-exit=9 --poller=$poller -- "$room/$program" 2>"$room/said" || status=$?
        # A suspect is no fault.
        [ $status = 0 ] || { echo "FAILED: $program, $poller: status $status" >&2; cat "$room/said" >&2; exit 1; }
        expect "$program, $poller" "$room/said" " suspect slept-edge: .* slept 3.. ms on 6 unread bytes"
        expect "$program, $poller" "$room/said" "added at +unread.go:$line main.watch <- [0-9]+ main.main"
        "$launcher" -c --poller=$poller -- "$room/$program" 2>"$room/said"
        expect "$program, $poller, -c" "$room/said" " epoll_ctl$"
        "$launcher" -t --poller=$poller -- "$room/$program" 2>"$room/said"
        expect "$program, $poller, -t" "$room/said" "^epoll_ctl\([0-9]+, EPOLL_CTL_ADD, [0-9]+, .* = 0$"
    done
    "$launcher" --counters -- "$room/$program" 2>"$room/said"
    expect "$program, --counters" "$room/said" "^epolyfill\[[0-9]+\]: waits +2$"
    echo "ok: $program"
done
