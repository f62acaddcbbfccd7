#!/usr/bin/env bash
# unbound: two threads on libevent; every answer by UDP and TCP is compared, and it shuts down
# cleanly.
. "$(dirname "$0")/lib.sh"
need unbound
port=$(free_port)
{
    cat <<CONF
server:
    interface: 127.0.0.1@$port
    num-threads: 2
    so-reuseport: yes
    incoming-num-tcp: 50
    username: ""
    chroot: ""
    directory: "$WORK"
    pidfile: "$WORK/unbound.pid"
    use-syslog: no
    module-config: "iterator"
    local-zone: "test." static
remote-control:
    control-enable: no
CONF
    for ((i = 0; i < 400; i++)); do echo "server: local-data: \"host$i.test. A 10.0.$((i >> 8)).$((i & 255))\""; done
} >"$WORK/unbound.conf"
serve unbound "$WAY" unbound -d -p -c "$WORK/unbound.conf"
await unbound "$port"
said=$(timeout 60 "$PYTHON" "$HERE/dns_client.py" "$port" 400 20000 2>"$WORK/client.err") || fail "the client: $(tail -n 1 "$WORK/client.err")"
check_way unbound
stop unbound
((STATUS == 0)) || fail "unbound ended with status $STATUS"
say "$said"
