#!/usr/bin/env bash
# memcached: libevent in four threads, to which a fifth hands connections; every value compared, and
# every command counted by the server.
. "$(dirname "$0")/lib.sh"
need memcached
port=$(free_port)
serve memcached "$WAY" memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 -t 4 -c 1500 -m 256
await memcached "$port"
for connections in 1 50 500; do
    said=$("$PYTHON" "$HERE/memcached_client.py" "$port" "$connections" 2>"$WORK/client.err") ||
        fail "the client: status $?: $(tail -n 3 "$WORK/client.err" | tr '\n' ' ')"
    say "$said"
done
check_way memcached
stop memcached
((STATUS == 0)) || fail "memcached ended with status $STATUS"
