#!/usr/bin/env bash
# lighttpd and aria2, an event loop at each end: a file fetched in 16 pieces at once, 40 small
# files, and 500 connections of wrk.
. "$(dirname "$0")/lib.sh"
need lighttpd aria2c wrk sha256sum
port=$(free_port)
mkdir "$WORK/html"
for ((i = 0; i < 40; i++)); do head -c $((i * 5000 + 1)) /dev/urandom >"$WORK/html/$i"; done
head -c 40M /dev/urandom >"$WORK/html/large"
(cd "$WORK/html" && sha256sum -- *) >"$WORK/sums"
cat >"$WORK/lighttpd.conf" <<CONF
server.document-root = "$WORK/html"
server.bind = "127.0.0.1"
server.port = $port
server.event-handler = "linux-sysepoll"
server.max-connections = 2000
server.max-fds = 4096
CONF
serve lighttpd "$WAY" lighttpd -D -f "$WORK/lighttpd.conf"
await lighttpd "$port"

# aria2 on the kernel's epoll, and on the tested one.
for way in kernel "$WAY"; do
    rm -rf "$WORK/out"
    mkdir "$WORK/out"
    fetch() { run "$way" timeout 60 aria2c -q --no-conf --event-poll=epoll --async-dns=false -d "$WORK/out" "$@" || fail "aria2c: status $?"; }
    fetch -x 16 -s 16 -k 1M --min-split-size=1M "http://127.0.0.1:$port/large"
    seq -f "http://127.0.0.1:$port/%g" 0 39 >"$WORK/list"
    fetch -j 20 -i "$WORK/list"
    (cd "$WORK/out" && sha256sum --quiet -c "$WORK/sums") || fail "a downloaded file is damaged"
done
timeout 60 wrk -t2 -c500 -d2s --timeout 20s "http://127.0.0.1:$port/20" >"$WORK/wrk.out" 2>&1 || fail "wrk: $(cat "$WORK/wrk.out")"
! grep -E 'Socket errors|Non-2xx' "$WORK/wrk.out" || fail "wrk: errors"
check_way lighttpd
# A graceful stop, which sees the ends of the connections first: after a SIGTERM amid them its status
# is 1.
stop lighttpd INT 30
((STATUS == 0)) || fail "lighttpd ended with status $STATUS"
say "41 files by aria2 on both epolls, $(awk '/requests in/ { print $1 }' "$WORK/wrk.out") requests over 500 connections"
