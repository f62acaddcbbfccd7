#!/usr/bin/env bash
# gRPC's C core by its Python package: pollers that hand one epoll descriptor to each other, and are
# woken by an eventfd. 40 clients, unary calls and streams in both directions; every message is
# compared.
. "$(dirname "$0")/lib.sh"
build=${CARGO_TARGET_DIR:-$HERE/../../target}/grpc
python=$build/bin/python
version=1.85.3
if [ "$(cat "$build/version" 2>/dev/null)" != "$version" ]; then
    rm -rf "$build"
    { "$PYTHON" -m venv "$build" && timeout 300 "$python" -m pip -q install "grpcio==$version"; } >"$WORK/pip.out" 2>&1 ||
        fail "the package cannot be installed: $(tail -n 3 "$WORK/pip.out")"
    echo "$version" >"$build/version"
fi
serve server "$WAY" "$python" "$HERE/grpc_echo.py" server
printed() { [ -s "$WORK/server.out" ] || ! alive server; }
until_true 20 printed || fail "the server prints no port"
port=$(head -n 1 "$WORK/server.out")
await server "$port"
said=$(run "$WAY" timeout 60 "$python" "$HERE/grpc_echo.py" client "$port" 2>"$WORK/client.err") ||
    fail "the client: status $?: $(tail -n 3 "$WORK/client.err" | tr '\n' ' ')"
check_way server
stop server
((STATUS == 0)) || fail "the server ended with status $STATUS"
[ "$said" = "2800 messages compared" ] || fail "the client: $said"
say "grpcio $version: $said"
