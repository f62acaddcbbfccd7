#!/usr/bin/env bash
# nginx: edge-triggered, one ADD for both directions, never drains to EAGAIN, an exclusive listening
# socket shared by two workers, an eventfd that is never read (thread pool), fork and signals.
. "$(dirname "$0")/lib.sh"
need nginx wrk curl sha256sum

# A directory with a configuration and files. Workers run under another user when root starts nginx.
set_up() {
    local dir=$WORK/$1 port=$2 proxied=$3 digest=$4
    mkdir -p "$dir/html/files" "$dir/tmp"
    ln -f "$WORK"/files/* "$dir/html/files/"
    cat >"$dir/nginx.conf" <<CONF
worker_processes 2;
# A shutdown waits at most this long for clients.
worker_shutdown_timeout 30s;
daemon off;
pid $dir/nginx.pid;
error_log $dir/error.log notice;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path $dir/tmp/body;
    proxy_temp_path $dir/tmp/proxy;
    fastcgi_temp_path $dir/tmp/fastcgi;
    uwsgi_temp_path $dir/tmp/uwsgi;
    scgi_temp_path $dir/tmp/scgi;
    root $dir/html;
    keepalive_requests 1000000;
    upstream proxied { server 127.0.0.1:$proxied; keepalive 32; keepalive_requests 1000000; }
    upstream digest { server 127.0.0.1:$digest; }
    server {
        listen 127.0.0.1:$port backlog=4096;
        location /files/ { sendfile on; tcp_nopush on; }
        # Reads in other threads, which wake the loop by the eventfd.
        location /threads/ { alias $dir/html/files/; sendfile off; aio threads; }
        # Copies through buffers: IN of one connection against OUT of the other.
        location /proxied/ {
            proxy_pass http://proxied/files/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        # Request bodies, passed on as they arrive.
        location /digest {
            client_max_body_size 16m;
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_pass http://digest;
        }
        location = /slow { limit_rate 2m; alias $dir/html/files/5M; }
    }
    server {
        listen 127.0.0.1:$proxied backlog=4096;
        location /files/ { sendfile on; }
    }
}
CONF
    watch_log "$dir/error.log"
}

start() {
    serve "$1" "$2" nginx -p "$WORK/$1" -c "$WORK/$1/nginx.conf" -e "$WORK/$1/error.log"
    await "$1" "$3"
    until_true 10 workers_are "$1" 2 || fail "$1 does not have two workers"
    check_way "$1"
    [ "$2" = kernel ] || check_workers "$1"
}

worker_pids() { pgrep -P "${PID[$1]}" -f 'nginx: worker process$' || true; }
workers_are() { [ "$(worker_pids "$1" | wc -l)" -eq "$2" ]; }

check_workers() {
    local pid
    for pid in $(worker_pids "$1"); do
        grep -q libepolyfill "/proc/$pid/maps" || fail "worker $pid does not have the library loaded"
    done
}

# load CONNECTIONS SECONDS PATH [PORT]: wrk, on the kernel; any answer but 2xx or any socket error
# fails.
load() {
    timeout 60 wrk -t2 -c"$1" -d"$2"s --timeout 20s "http://127.0.0.1:${4:-$port}$3" >"$WORK/wrk.out" 2>&1 ||
        fail "wrk $*: status $?: $(cat "$WORK/wrk.out")"
    if grep -qE 'Socket errors|Non-2xx' "$WORK/wrk.out"; then
        fail "wrk -c$1 $3: $(grep -E 'Socket errors|Non-2xx' "$WORK/wrk.out" | tr -s ' ' | tr '\n' ';')"
    fi
    RATE=$(awk '/^Requests\/sec:/ { print $2 }' "$WORK/wrk.out")
    awk -v r="${RATE:-0}" 'BEGIN { exit !(r > 0) }' || fail "wrk -c$1 $3 got no answer"
}

digest_of() { sha256sum "$1" | cut -d' ' -f1; }

# download PATH FILE COUNT: COUNT parallel curls of PATH, each of which must get FILE.
download() {
    local path=$1 file=$2 count=$3 i out=$WORK/out
    rm -rf "$out"
    mkdir "$out"
    for ((i = 0; i < count; i++)); do
        printf 'url = "http://127.0.0.1:%s%s?%s"\noutput = "%s/%s"\n' "$port" "$path" "$i" "$out" "$i"
    done >"$WORK/curl.conf"
    timeout 60 curl --silent --show-error --fail --parallel --parallel-immediate --parallel-max "$count" \
        --config "$WORK/curl.conf" 2>"$WORK/curl.err" || fail "curl of $path: status $?: $(tail -n 3 "$WORK/curl.err")"
    [ "$(find "$out" -type f | wc -l)" -eq "$count" ] || fail "curl of $path downloaded fewer than $count files"
    [ "$(sha256sum "$out"/* | cut -d' ' -f1 | sort -u)" = "$(digest_of "$WORK/files/$file")" ] ||
        fail "a file downloaded from $path is damaged"
}

mkdir "$WORK/files"
for file in 1k:1024 100k:102400 5M:5242880; do
    head -c "${file#*:}" /dev/urandom >"$WORK/files/${file%:*}"
done
chmod 644 "$WORK"/files/*

port=$(free_port)
kernel_port=$(free_port)
digest_port=$(free_port)
set_up nginx "$port" "$(free_port)" "$digest_port"
set_up kernel "$kernel_port" "$(free_port)" "$digest_port"
start nginx "$WAY" "$port"

# The answers.
for file in 1k 100k 5M; do
    for path in files threads proxied; do
        download "/$path/$file" "$file" 1
        [ "$file" = 5M ] || download "/$path/$file" "$file" 60
    done
done
download /files/5M 5M 25
download /threads/5M 5M 10
download /proxied/5M 5M 10
[ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/files/none")" = 404 ] || fail "no 404 for what is not there"
timeout 120 "$PYTHON" "$HERE/nginx_client.py" answers "$port" "$WORK/files" "$digest_port" || fail "the client found wrong answers"

# The load.
load 64 2 /files/1k
small=$RATE
load 500 2 /files/1k
load 64 2 /files/100k
load 500 2 /files/100k
load 64 2 /files/5M
load 64 2 /threads/100k
load 64 2 /proxied/1k
load 500 2 /proxied/100k
say "wrk with 64 and 500 connections: no error (1 kB at $small/s)"
until_true 20 "$PYTHON" "$HERE/nginx_client.py" once "$port" "$WORK/files" || fail "nginx does not respond after the load"

# A new configuration under load: no request may fail, and the old workers must end.
timeout 60 "$PYTHON" "$HERE/nginx_client.py" steady "$port" "$WORK/files" 5 >"$WORK/steady.out" 2>&1 &
steady=$!
for _ in 1 2 3; do
    sleep 1
    before=$(worker_pids nginx | tr '\n' ' ')
    kill -HUP "${PID[nginx]}"
    replaced() {
        local pid
        workers_are nginx 2 || return 1
        for pid in $before; do ! kill -0 "$pid" 2>/dev/null || return 1; done
    }
    until_true 20 replaced || fail "the workers $before have not been replaced after SIGHUP: $(worker_pids nginx | tr '\n' ' ')"
done
wait "$steady" || fail "requests failed while nginx reloaded: $(tail -n 3 "$WORK/steady.out")"
[ "$WAY" = kernel ] || check_workers nginx
say "$(cat "$WORK/steady.out") while the workers were replaced three times"

# A new binary under load, twice: the new master is executed with an environment that nginx builds,
# takes over the listening sockets and must be served; no request may fail. nginx supports this only
# as a daemon.
upgrade_port=$(free_port)
set_up upgrade "$upgrade_port" "$(free_port)" "$digest_port"
sed -i 's/^daemon off;/daemon on;/' "$WORK/upgrade/nginx.conf"
# By its full path, which nginx executes again.
run "$WAY" "$(command -v nginx)" -p "$WORK/upgrade" -c "$WORK/upgrade/nginx.conf" -e "$WORK/upgrade/error.log"
master() { cat "$WORK/upgrade/nginx.pid" 2>/dev/null; }
until_true 10 master >"$WORK/first" || fail "upgrade has not started"
# All masters are in the process group of the first one.
PID[upgrade]=$(tail -n 1 "$WORK/first")
STARTED_AS[upgrade]=$WAY
await upgrade "$upgrade_port"
timeout 60 "$PYTHON" "$HERE/nginx_client.py" steady "$upgrade_port" "$WORK/files" 3 >"$WORK/upgrade.out" 2>&1 &
steady=$!
for _ in 1 2; do
    sleep 1
    old=$(master)
    kill -USR2 "$old"
    taken_over() {
        new=$(master) && [ "$new" != "$old" ] && [ "$(pgrep -P "$new" | wc -l)" -eq 2 ]
    }
    until_true 20 taken_over || fail "no new binary after SIGUSR2"
    for pid in "$new" $(pgrep -P "$new"); do
        if [ "$WAY" = kernel ]; then
            ! grep -q libepolyfill "/proc/$pid/maps" || fail "the new binary has the library loaded"
        else
            grep -q libepolyfill "/proc/$pid/maps" || fail "the new binary does not have the library loaded"
        fi
    done
    kill -QUIT "$old"
    old_gone() { ! kill -0 "$old" 2>/dev/null; }
    until_true 20 old_gone || fail "the old binary does not end"
done
wait "$steady" || fail "requests failed while nginx was upgraded: $(tail -n 3 "$WORK/upgrade.out")"
say "$(cat "$WORK/upgrade.out") while the binary was replaced twice"
kill -QUIT "$(master)"
until_true 20 group_gone "${PID[upgrade]}" || fail "the upgraded nginx does not end"
unset "PID[upgrade]"

# Throughput beside the kernel.
start kernel kernel "$kernel_port"
pair() {
    local at=$kernel_port
    [ "$1" = kernel ] || at=$port
    load "$connections" 1 /files/1k "$at"
    echo "$RATE"
}
for connections in 64 500; do
    compare "1 kB, $connections connections" pair
done

# A graceful shutdown lets a download finish.
(timeout 60 curl --silent --show-error --fail "http://127.0.0.1:$port/slow" -o "$WORK/slow.out" 2>&1) &
slow=$!
started() { [ -s "$WORK/slow.out" ]; }
until_true 10 started || fail "the slow download does not start"
stop nginx QUIT 30
((STATUS == 0)) || fail "nginx ended with status $STATUS on SIGQUIT"
wait "$slow" || fail "SIGQUIT cut off a running download"
[ "$(digest_of "$WORK/slow.out")" = "$(digest_of "$WORK/files/5M")" ] || fail "the running download is damaged"
! connects "$port" || fail "the port is still open after nginx has ended"
stop kernel
((STATUS == 0)) || fail "nginx ended with status $STATUS on SIGTERM"

! grep -hE '\[(alert|crit|emerg)\]' "$WORK"/{nginx,upgrade,kernel}/error.log || fail "nginx logged errors"
