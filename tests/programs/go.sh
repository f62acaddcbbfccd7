#!/usr/bin/env bash
# Go programs, whose system call instructions are rewritten: one that is built here, with cgo, static
# and position-independent, with each poller; Debian's caddy and etcd.
. "$(dirname "$0")/lib.sh"
need go gcc caddy etcd curl

cache=${CARGO_TARGET_DIR:-$HERE/../../target}/programs/go
mkdir -p "$cache"
export GOCACHE=$cache/cache GOPATH=$cache/path GOFLAGS= HOME=$WORK
build() { # name cgo files and options…
    CGO_ENABLED=$2 go build -o "$cache/$1" "${@:3}" >"$WORK/build.out" 2>&1 ||
        fail "$1 does not build: $(tail -n 20 "$WORK/build.out")"
}
here=$HERE/go-http
build go-http 1 "$here/main.go" "$here/cgo.go"
build go-http-static 0 "$here/main.go"
build go-http-pie 0 -buildmode=pie "$here/main.go"

# Children of every kind: dynamic and static, Go at a fixed address, a script.
printf '#include <stdio.h>\nint main(void) { puts("ran"); return 0; }\n' >"$WORK/ran.c"
gcc "$WORK/ran.c" -o "$WORK/dynamic"
gcc -static "$WORK/ran.c" -o "$WORK/static"
printf 'package main\nimport "os"\nfunc main() { os.Stdout.WriteString("ran\\n") }\n' >"$WORK/ran.go"
build static-go 0 "$WORK/ran.go"
printf '#!/bin/sh\necho ran\n' >"$WORK/script"
chmod 755 "$WORK/script"
children=("$WORK/dynamic" "$WORK/static" "$cache/static-go" "$WORK/script")

case $WAY in
kernel) pollers=(poll) expected="eventpolls: 1 served: false" ;;
chaos) pollers=(kernel) expected="eventpolls: 1 served: true" ;;
*) pollers=(poll uring auto) expected="eventpolls: 0 served: true" ;;
esac
for program in go-http go-http-static go-http-pie; do
    for poller in "${pollers[@]}"; do
        said=$(EPOLYFILL_POLLER=$poller run "$WAY" timeout 120 "$cache/$program" "${children[@]}" 2>"$WORK/go.err") ||
            fail "$program, $poller: status $?: $(head -n 12 "$WORK/go.err")"
        [ "$said" = "4000 requests, $expected" ] || fail "$program, $poller: $said"
        [ ! -s "$WORK/go.err" ] || fail "$program, $poller: $(cat "$WORK/go.err")"
        say "$program, $poller: $said"
    done
done

mkdir "$WORK/files"
head -c 3000000 /dev/urandom >"$WORK/files/large"
port=$(free_port)
cat >"$WORK/Caddyfile" <<CADDY
{
	admin off
	auto_https off
}
http://127.0.0.1:$port {
	root * $WORK/files
	file_server
}
CADDY
serve caddy "$WAY" caddy run --config "$WORK/Caddyfile" --adapter caddyfile
await caddy "$port"
for i in {1..10}; do
    fetches=()
    for name in one two; do
        curl -sS --max-time 20 "http://127.0.0.1:$port/large" -o "$WORK/$name" &
        fetches+=($!)
    done
    wait "${fetches[@]}"
    for name in one two; do
        cmp "$WORK/$name" "$WORK/files/large" || fail "caddy: file $name of round $i is wrong"
    done
done
stop caddy
((STATUS == 0)) || fail "caddy ended with status $STATUS"
say "caddy: 20 files of 3 MB"

port=$(free_port)
serve etcd "$WAY" etcd --data-dir "$WORK/etcd" --listen-peer-urls http://127.0.0.1:0 \
    --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port"
await etcd "$port"
ask() { curl -sS --max-time 20 -d "$2" "http://127.0.0.1:$port/v3/kv/$1"; }
leads() { ask put '{"key":"AA==","value":"AA=="}' | grep -q revision; }
until_true 20 leads || fail "etcd has no leader"
for i in {1..50}; do
    key=$(printf 'key %d' "$i" | base64) value=$(printf 'value %d' $((i * i)) | base64)
    ask put "{\"key\":\"$key\",\"value\":\"$value\"}" >"$WORK/answer"
    ask range "{\"key\":\"$key\"}" >"$WORK/answer"
    grep -qF "\"value\":\"$value\"" "$WORK/answer" || fail "etcd: $key is $(cat "$WORK/answer")"
done
stop etcd
say "etcd: 50 values put and read"
