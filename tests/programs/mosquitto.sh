#!/usr/bin/env bash
# mosquitto: one thread, level-triggered, MOD for every socket whose buffer is full; each of 40
# subscribers gets each message of four publishers, once and in order, and some of them connect
# late.
. "$(dirname "$0")/lib.sh"
need mosquitto mosquitto_pub mosquitto_sub
each=500
port=$(free_port)
cat >"$WORK/mosquitto.conf" <<CONF
listener $port 127.0.0.1
allow_anonymous true
user $(id -un)
max_queued_messages 0
CONF
serve mosquitto "$WAY" mosquitto -c "$WORK/mosquitto.conf"
await mosquitto "$port"

subscriber() {
    local number=$1
    shift
    timeout 60 mosquitto_sub -p "$port" -h 127.0.0.1 -i "subscriber-$number" -c -q 1 -t 'topic/#' "$@"
}
# Each leaves a persistent subscription, so the result does not depend on which subscribers are
# connected when a message arrives.
for ((i = 0; i < 40; i++)); do subscriber "$i" -E || fail "subscriber $i cannot subscribe"; done

waits=()
for ((i = 0; i < 20; i++)); do subscriber "$i" -C $((4 * each)) >"$WORK/got.$i" & waits+=($!); done
for publisher in 1 2 3 4; do
    seq -f "$publisher %g" "$each" | timeout 60 mosquitto_pub -p "$port" -h 127.0.0.1 -q 1 -l -t "topic/$publisher" &
    waits+=($!)
done
for ((i = 20; i < 40; i++)); do subscriber "$i" -C $((4 * each)) >"$WORK/got.$i" & waits+=($!); done
for pid in "${waits[@]}"; do wait "$pid" || fail "a client ended with status $?"; done

for publisher in 1 2 3 4; do
    seq -f "$publisher %g" "$each" >"$WORK/sent.$publisher"
    for ((i = 0; i < 40; i++)); do
        grep "^$publisher " "$WORK/got.$i" | cmp -s - "$WORK/sent.$publisher" || fail "subscriber $i did not get what publisher $publisher sent"
    done
done
check_way mosquitto
stop mosquitto
((STATUS == 0)) || fail "mosquitto ended with status $STATUS"
say "40 subscribers got each $((4 * each)) messages, in order"
