#!/usr/bin/env bash
# A server with nothing to do must sleep: under the library it wakes up no more often than on the
# kernel's epoll, and uses no processor time. Both are watched during the same ten seconds, under
# the same load of the machine.
. "$(dirname "$0")/lib.sh"
need nginx redis-server

start_nginx() {
    local name=$1 way=$2 port=$3 dir=$WORK/$1
    mkdir -p "$dir/html" "$dir/tmp"
    echo "something to serve" >"$dir/html/index.html"
    cat >"$dir/nginx.conf" <<CONF
worker_processes 2;
daemon off;
pid $dir/nginx.pid;
error_log $dir/error.log notice;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $dir/tmp/body;
    proxy_temp_path $dir/tmp/proxy;
    fastcgi_temp_path $dir/tmp/fastcgi;
    uwsgi_temp_path $dir/tmp/uwsgi;
    scgi_temp_path $dir/tmp/scgi;
    root $dir/html;
    # Longer than the test: closing an idle connection would be a wake-up.
    keepalive_timeout 600s;
    server { listen 127.0.0.1:$port; }
}
CONF
    watch_log "$dir/error.log"
    serve "$name" "$way" nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log"
    await "$name" "$port"
}

start_redis() {
    mkdir -p "$WORK/$1"
    serve "$1" "$2" redis-server --port "$3" --bind 127.0.0.1 --save "" --appendonly no --dir "$WORK/$1" --daemonize no
    await "$1" "$3"
}

watched=()
for kind in nginx redis; do
    for role in test kernel; do
        way=$WAY
        [ "$role" = test ] || way=kernel
        port=$(free_port)
        "start_$kind" "$kind-$role" "$way" "$port"
        watched+=("$kind:$role:$port:${PID[$kind-$role]}")
    done
done

timeout 120 "$PYTHON" "$HERE/idle_count.py" "${watched[@]}" || fail "a server that should sleep does not"

for name in nginx-test nginx-kernel redis-test redis-kernel; do
    check_way "$name"
    stop "$name"
    ((STATUS == 0)) || fail "$name ended with status $STATUS"
done
