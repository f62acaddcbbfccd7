#!/usr/bin/env bash
# The options that observe a program, with each poller, on those that make their own system calls:
# static Go and Go with cgo, whose faulty loop has to be found to the line, and rustix.
. "$(dirname "$0")/lib.sh"
need go gcc cargo python3
[ -n "${EPOLYFILL_LIBRARY:-}" ] || fail "EPOLYFILL_LIBRARY has to name the library with the observer"

target=${CARGO_TARGET_DIR:-$HERE/../../target}/programs
export GOCACHE=$target/go/cache GOPATH=$target/go/path GOFLAGS=
cp "$HERE/go-edge/main.go" "$WORK"
printf 'package main\nimport "C"\n' >"$WORK/cgo.go"
CGO_ENABLED=0 go build -o "$WORK/go-static" "$WORK/main.go" >"$WORK/build.out" 2>&1 &&
    CGO_ENABLED=1 go build -o "$WORK/go-cgo" "$WORK/main.go" "$WORK/cgo.go" >>"$WORK/build.out" 2>&1 ||
    fail "go-edge does not build: $(tail -n 20 "$WORK/build.out")"
CARGO_TARGET_DIR=$target cargo build --quiet --release --locked --manifest-path "$HERE/rustix-echo/Cargo.toml" \
    >"$WORK/build.out" 2>&1 || fail "rustix-echo does not build: $(tail -n 20 "$WORK/build.out")"

# observe SAID OPTIONS… PROGRAM ARGUMENTS…: leaves the report in REPORT.
observe() {
    local expected=$1 said
    shift
    REPORT=$WORK/report
    said=$(timeout 60 "$EPOLYFILL" "$@" 2>"$REPORT") || fail "$*: status $?: $(head -n 12 "$REPORT")"
    [ "$said" = "$expected" ] || fail "$*: $said"
}
# reported PATTERN OPTIONS…: REPORT has a line that matches.
reported() {
    grep -qE -- "$1" "$REPORT" || fail "${*:2}: '$1' is not in: $(head -n 12 "$REPORT")"
}
# all SAID WAIT NAME PROGRAM ARGUMENTS…: every option but --audit.
all() {
    local expected=$1 wait=$2 name=$3
    shift 3
    observe "$expected" $with -t -- "$@"
    reported "^(\[pid +[0-9]+\] )?$wait\(.*EPOLLIN" "$with" -t
    observe "$expected" $with -c -- "$@"
    reported "^epolyfill\[[0-9]+\] $name\$" "$with" -c
    reported " $wait\$" "$with" -c
    observe "$expected" $with --timeline="$WORK/timeline" -- "$@"
    [ ! -s "$REPORT" ] || fail "$with --timeline: $(head -n 12 "$REPORT")"
    python3 -c 'import json, sys
names = {event["args"]["name"] for event in json.load(open(sys.argv[1]))["traceEvents"] if event["name"] == "process_name"}
sys.exit(f"the timeline is of {names}" if not any(sys.argv[2] in name for name in names) else 0)' "$WORK/timeline" "$name" ||
        fail "$with --timeline"
    observe "$expected" $with --chaos=7,eintr=0.05,late=0.05 -- "$@"
    reported "^epolyfill: chaos by seed 7 .*: [0-9]+ decisions? in 1 process$" "$with" --chaos
}

for poller in poll uring kernel; do
    with=--poller=$poller
    for program in go-static go-cgo; do
        all "six edges" epoll_wait "$program" "$WORK/$program"
        observe "six edges" "$with" --audit -- "$WORK/$program"
        reported ' (fault|suspect) slept-edge: descriptor [0-9]+ \(pipe, ' "$with" --audit "$program"
        reported '^ +added at +main.go:[0-9]+ main.register <- [0-9]+ main.main' "$with" --audit "$program"
        say "$program, $poller"
    done
    case $poller in
    kernel) expected="3000000 bytes, eventpolls: 1 served: true" ;;
    *) expected="3000000 bytes, eventpolls: 0 served: true" ;;
    esac
    all "$expected" epoll_pwait rustix-echo "$target/release/rustix-echo" once
    observe "$expected" "$with" --audit -- "$target/release/rustix-echo" once
    reported '^audit: 0 faults, ' "$with" --audit rustix
    say "rustix, $poller"
done
