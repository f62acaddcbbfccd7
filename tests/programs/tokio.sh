#!/usr/bin/env bash
# tokio: edge-triggered, a short read taken as the last, an eventfd that is never read, four threads
# on one instance, ADD from threads that do not wait.
. "$(dirname "$0")/lib.sh"
need cargo

target=${CARGO_TARGET_DIR:-$HERE/../../target}/programs
CARGO_TARGET_DIR=$target cargo build --quiet --release --locked --manifest-path "$HERE/tokio-echo/Cargo.toml" \
    >"$WORK/build.out" 2>&1 || fail "tokio-echo does not build: $(tail -n 20 "$WORK/build.out")"
program=$target/release/tokio-echo

# between SERVER-WAY CLIENT-WAY
between() {
    local tcp udp said
    serve server "$1" "$program" server "$WORK/socket"
    printed() { [ -s "$WORK/server.out" ] || ! alive server; }
    until_true 20 printed || fail "the server prints no port"
    read -r tcp udp <"$WORK/server.out"
    await server "$tcp"
    said=$(run "$2" timeout 150 "$program" client "$tcp" "$udp" "$WORK/socket" 2>"$WORK/client.err") ||
        fail "server: $1, client: $2: status $?: $(tail -n 3 "$WORK/client.err" | tr '\n' ' ')"
    say "server: $1, client: $2: $said"
    stop server
    ((STATUS == 0)) || fail "the server ended with status $STATUS"
    rm -f "$WORK/server.out" "$WORK/socket"
}

between "$WAY" kernel
between kernel "$WAY"
between "$WAY" "$WAY"
