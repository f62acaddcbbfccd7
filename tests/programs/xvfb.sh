#!/usr/bin/env bash
# Xvfb: the X server's loop, level-triggered with one registration for each client. 40 clients at
# once set a property of their own, read it back and compare.
. "$(dirname "$0")/lib.sh"
need Xvfb xprop
serve xvfb "$WAY" Xvfb -displayfd 1 -screen 0 640x480x24 -nolisten tcp -noreset
named() { grep -qxE '[0-9]+' "$WORK/xvfb.out" || ! alive xvfb; }
until_true 20 named || fail "Xvfb does not start"
DISPLAY=:$(grep -xE '[0-9]+' "$WORK/xvfb.out")
export DISPLAY
check_way xvfb
asks() {
    local i
    for i in 1 2 3; do
        xprop -root -f "P$1" 8s -set "P$1" "$1-$i" || return 1
        [ "$(xprop -root "P$1")" = "P$1(STRING) = \"$1-$i\"" ] || return 1
    done
}
clients=()
for ((i = 0; i < 40; i++)); do asks "$i" & clients+=($!); done
for client in "${clients[@]}"; do wait "$client" || fail "a client did not read what it wrote"; done
stop xvfb
((STATUS == 0)) || fail "Xvfb ended with status $STATUS"
say "120 properties of 40 clients written and read back"
