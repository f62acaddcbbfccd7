#!/usr/bin/env bash
# Apache httpd with its event MPM: a listener thread on an epoll descriptor that workers add to and
# delete from. Files are compared, wrk keeps 100 connections, and three graceful restarts under load
# fail no request.
. "$(dirname "$0")/lib.sh"
need apache2 curl wrk
port=$(free_port)
mkdir -p "$WORK/html"
for size in 1 100000 5000000; do head -c "$size" /dev/urandom >"$WORK/html/$size"; done
cat >"$WORK/apache.conf" <<CONF
ServerRoot $WORK
ServerName 127.0.0.1
Listen 127.0.0.1:$port
PidFile $WORK/apache.pid
ErrorLog $WORK/error.log
DefaultRuntimeDir $WORK
Mutex pthread
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
$([ "$(id -u)" != 0 ] || printf 'User www-data\nGroup www-data\n')
ThreadLimit 128
StartServers 2
ThreadsPerChild 128
MaxRequestWorkers 256
MinSpareThreads 1
MaxSpareThreads 256
KeepAlive On
MaxKeepAliveRequests 0
DocumentRoot $WORK/html
<Directory $WORK/html>
    Require all granted
</Directory>
CONF
watch_log "$WORK/error.log"
serve apache "$WAY" apache2 -f "$WORK/apache.conf" -DFOREGROUND
await apache "$port"
url=http://127.0.0.1:$port
for size in 1 100000 5000000; do
    for _ in 1 2 3; do curl -sSf -m 20 "$url/$size" | cmp -s - "$WORK/html/$size" || fail "the file of $size bytes is damaged"; done
done
# wrk prints an error line only if there were errors.
load=$(timeout 60 wrk -t 2 -c 100 -d 2 --timeout 20s "$url/100000") || fail "wrk: status $?"
! grep -qE 'Socket errors|Non-2xx' <<<"$load" || fail "wrk met errors: $load"
requests=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' <<<"$load")
# One request per connection, so that a process that ends cannot close a connection with a request.
asks() { for ((i = 0; i < 60; i++)); do curl -sSf -m 20 "$url/100000" | cmp -s - "$WORK/html/100000" || return 1; done; }
clients=()
for _ in 1 2 3 4; do asks & clients+=($!); done
generation() { grep -c 'resuming normal operations' "$WORK/error.log"; }
for restart in 2 3 4; do
    kill -USR1 "${PID[apache]}"
    restarted() { (($(generation) >= restart)); }
    until_true 20 restarted || fail "apache does not restart"
done
for client in "${clients[@]}"; do wait "$client" || fail "a request failed in a graceful restart"; done
check_way apache
stop apache
((STATUS == 0)) || fail "apache ended with status $STATUS"
say "files compared, $requests requests on 100 connections without an error, 240 more amid three graceful restarts"
