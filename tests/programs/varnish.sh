#!/usr/bin/env bash
# Varnish: threads that hand idle sessions to a waiter on epoll, in front of a backend of its own.
# Bodies are checked by wrk's counts and by curl; a fetched body is served from the cache.
. "$(dirname "$0")/lib.sh"
need varnishd varnishstat curl wrk
port=$(free_port)
backend=$(free_port)
head -c 20000 /dev/urandom >"$WORK/body"
serve backend kernel "$PYTHON" -m http.server -b 127.0.0.1 -d "$WORK" "$backend"
until_true 20 connects "$backend" || fail "the backend does not start"
serve varnish "$WAY" varnishd -F -n "$WORK/v" -j none -a "127.0.0.1:$port" -b "127.0.0.1:$backend" -s malloc,16m
await varnish "$port"
url=http://127.0.0.1:$port/body
for _ in 1 2 3 4 5; do curl -sSf -m 20 "$url" | cmp -s - "$WORK/body" || fail "the body is damaged"; done
# Connections that become idle between their requests, more than there are worker threads.
load=$(timeout 60 wrk -t 2 -c 400 -d 2 --timeout 20s "$url") || fail "wrk: status $?"
! grep -qE 'Socket errors|Non-2xx' <<<"$load" || fail "wrk met errors: $load"
requests=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' <<<"$load")
# A worker adds its counts to the process's when it can take their lock, at the latest after a
# second of idleness.
hits() { varnishstat -n "$WORK/v" -1 -f MAIN.cache_hit | awk '{ print $2 }'; }
all_are_hits() { (($(hits) >= requests)); }
until_true 20 all_are_hits || fail "$(hits) hits for $requests requests"
fetched=$(grep -c '"GET /body' "$WORK/backend.out")
((fetched == 1)) || fail "the backend was asked $fetched times for one body"
check_way varnish
stop varnish
((STATUS == 0)) || fail "varnishd ended with status $STATUS"
stop backend
say "$requests requests on 400 connections without an error, all from the cache"
