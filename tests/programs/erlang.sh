#!/usr/bin/env bash
# Erlang: the virtual machine's polling threads (one-shot registrations, epoll descriptors in an
# epoll descriptor). An echo server with 100 clients in one machine; every message is compared.
. "$(dirname "$0")/lib.sh"
need erl erlc
cp "$HERE/echo.erl" "$WORK"
(cd "$WORK" && erlc echo.erl) || fail "echo.erl does not compile"
serve erlang "$WAY" erl -noinput -pa "$WORK" -s echo main 100 200
is_over() { grep -q '^done' "$WORK/erlang.out" || ! alive erlang; }
until_true 60 is_over || fail "the echo does not end"
check_way erlang
said=$(sed -n 's/^done: //p' "$WORK/erlang.out")
[ "$said" = "20000 messages compared" ] || fail "the echo: ${said:-no result}"
stop erlang TERM
say "$said"
