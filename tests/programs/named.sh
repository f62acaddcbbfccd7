#!/usr/bin/env bash
# BIND's named: libuv loops in threads; every answer by UDP and TCP is compared, while it reloads,
# and it shuts down cleanly.
. "$(dirname "$0")/lib.sh"
need named
port=$(free_port)
cat >"$WORK/named.conf" <<CONF
options {
    directory "$WORK";
    listen-on port $port { 127.0.0.1; };
    listen-on-v6 { none; };
    pid-file "$WORK/named.pid";
    session-keyfile "$WORK/session.key";
    managed-keys-directory "$WORK";
    recursion no;
    dnssec-validation no;
};
controls { };
zone "test" { type primary; file "$WORK/test.zone"; };
CONF
{
    echo '$TTL 60'
    echo '@ SOA ns admin 1 60 60 60 60'
    echo '@ NS ns'
    echo 'ns A 127.0.0.1'
    for ((i = 0; i < 400; i++)); do echo "host$i A 10.0.$((i >> 8)).$((i & 255))"; done
} >"$WORK/test.zone"
serve named "$WAY" named -g -c "$WORK/named.conf" -n 2
await named "$port"
# It accepts connections before it has loaded its zones, and refuses queries until then.
until_true 20 grep -q ' all zones loaded$' "$WORK/named.out" || fail "named does not load its zone"
timeout 60 "$PYTHON" "$HERE/dns_client.py" "$port" 400 20000 >"$WORK/client.out" 2>&1 &
client=$!
for _ in 1 2 3; do
    sleep 0.2
    kill -HUP "${PID[named]}"
done
wait "$client" || fail "the client: $(tail -n 1 "$WORK/client.out")"
check_way named
stop named
((STATUS == 0)) || fail "named ended with status $STATUS"
say "$(cat "$WORK/client.out"), amid three reloads"
