#!/usr/bin/env bash
# haproxy in front of nginx: one thread with level-triggered registrations of both directions,
# several with edge-triggered ones, and file descriptors that move between them; HTTP and plain TCP;
# health checks; a soft stop under load.
. "$(dirname "$0")/lib.sh"
need haproxy nginx wrk curl sha256sum

port=$(free_port)
tcp_port=$(free_port)
backend_port=$(free_port)
mkdir -p "$WORK/html" "$WORK/tmp"
for file in 1k:1024 100k:102400 5M:5242880; do
    head -c "${file#*:}" /dev/urandom >"$WORK/html/${file%:*}"
done
cat >"$WORK/nginx.conf" <<CONF
daemon off;
pid $WORK/nginx.pid;
error_log $WORK/error.log notice;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path $WORK/tmp/body;
    proxy_temp_path $WORK/tmp/proxy;
    fastcgi_temp_path $WORK/tmp/fastcgi;
    uwsgi_temp_path $WORK/tmp/uwsgi;
    scgi_temp_path $WORK/tmp/scgi;
    keepalive_requests 1000000;
    server { listen 127.0.0.1:$backend_port backlog=4096; root $WORK/html; }
}
CONF
cat >"$WORK/haproxy.cfg" <<CONF
global
    maxconn 3000
    nbthread 2
    stats socket $WORK/admin level admin
defaults
    timeout connect 10s
    timeout client 20s
    timeout server 20s
frontend http
    mode http
    bind 127.0.0.1:$port backlog 4096
    default_backend web
backend web
    mode http
    server nginx 127.0.0.1:$backend_port check inter 200ms
listen tcp
    mode tcp
    option splice-auto
    bind 127.0.0.1:$tcp_port backlog 4096
    server nginx 127.0.0.1:$backend_port
CONF

# The backend is nginx on the kernel's epoll: the tested program is haproxy.
serve nginx kernel nginx -p "$WORK" -c "$WORK/nginx.conf" -e "$WORK/error.log"
await nginx "$backend_port"
serve haproxy "$WAY" haproxy -db -f "$WORK/haproxy.cfg"
await haproxy "$port"
await haproxy "$tcp_port"

# haproxy's own statistics, from its socket.
ask() {
    "$PYTHON" - "$WORK/admin" "$1" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\n")
s.shutdown(socket.SHUT_WR)
sys.stdout.write(b"".join(iter(lambda: s.recv(65536), b"")).decode())
PY
}
grep -q 'will use epoll' <(haproxy -vv) || fail "this haproxy does not use epoll"

# download PORT FILE COUNT: COUNT parallel curls, each of which must get FILE.
download() {
    local i out=$WORK/out
    rm -rf "$out"
    mkdir "$out"
    for ((i = 0; i < $3; i++)); do
        printf 'url = "http://127.0.0.1:%s/%s?%s"\noutput = "%s/%s"\n' "$1" "$2" "$i" "$out" "$i"
    done >"$WORK/curl.conf"
    timeout 60 curl --silent --show-error --fail --parallel --parallel-immediate --parallel-max "$3" \
        --config "$WORK/curl.conf" 2>"$WORK/curl.err" || fail "curl of $2: status $?: $(tail -n 3 "$WORK/curl.err")"
    [ "$(sha256sum "$out"/* "$WORK/html/$2" | cut -d' ' -f1 | uniq -c | awk '{ print $1 }')" = $(($3 + 1)) ] ||
        fail "a file downloaded through haproxy is damaged"
}
for at in "$port" "$tcp_port"; do
    download "$at" 1k 60
    download "$at" 100k 60
    download "$at" 5M 10
done

# load CONNECTIONS PORT FILE: any answer but 2xx or any socket error fails.
load() {
    timeout 60 wrk -t2 -c"$1" -d2s --timeout 20s "http://127.0.0.1:$2/$3" >"$WORK/wrk.out" 2>&1 || fail "wrk: $(cat "$WORK/wrk.out")"
    ! grep -E 'Socket errors|Non-2xx' "$WORK/wrk.out" || fail "wrk -c$1 of $3: errors"
    rate=$(awk '/^Requests\/sec:/ { print $2 }' "$WORK/wrk.out")
}
load 64 "$port" 1k
say "1k over 64 connections: $rate requests/s"
load 500 "$port" 100k
load 64 "$tcp_port" 100k
ask 'show stat' >"$WORK/stat"
awk -F, '$1 == "web" && $2 == "nginx" { seen = 1; bad = $14 + $15 + $16; up = $18 ~ /^UP/; downs = $23 }
    END { exit !(seen && up && !bad && !downs) }' "$WORK/stat" || fail "haproxy counted errors: $(grep '^web,nginx' "$WORK/stat")"

# A soft stop lets current connections finish.
timeout 30 curl -s --limit-rate 3M -o "$WORK/slow" "http://127.0.0.1:$port/5M" &
slow=$!
begun() { [ -s "$WORK/slow" ]; }
until_true 10 begun || fail "the slow download does not begin"
check_way haproxy
stop haproxy USR1 20
((STATUS == 0)) || fail "haproxy ended with status $STATUS"
wait "$slow" || fail "the soft stop cut off a running download"
cmp -s "$WORK/slow" "$WORK/html/5M" || fail "the file downloaded during the soft stop is damaged"
say "downloads by HTTP and TCP compared, 500 connections, health checks, a soft stop"
stop nginx QUIT
