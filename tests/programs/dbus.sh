#!/usr/bin/env bash
# dbus-daemon: level-triggered, one epoll descriptor for all clients. 50 clients call it at once,
# each answer is compared, and a signal reaches every listener.
. "$(dirname "$0")/lib.sh"
need dbus-daemon dbus-send dbus-monitor
cat >"$WORK/bus.conf" <<CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$WORK/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
CONF
serve dbus "$WAY" dbus-daemon --nofork --nopidfile --config-file="$WORK/bus.conf"
is_there() { [ -S "$WORK/bus" ] || ! alive dbus; }
until_true 20 is_there || fail "dbus-daemon does not start"
check_way dbus
export DBUS_SESSION_BUS_ADDRESS=unix:path=$WORK/bus
listeners=()
for ((i = 0; i < 10; i++)); do
    dbus-monitor --session --profile "type='signal',interface='test.Signals'" >"$WORK/heard.$i" 2>/dev/null &
    listeners+=($!)
done
# Each prints two signals of the bus itself when it has subscribed.
subscribed() {
    local i
    for ((i = 0; i < 10; i++)); do (($(grep -c "^sig" "$WORK/heard.$i" || true) >= 2)) || return 1; done
}
until_true 20 subscribed || fail "a listener has not subscribed"
asks() {
    local i
    for ((i = 0; i < 10; i++)); do
        dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
            string:org.freedesktop.DBus | grep -q 'boolean true' || return 1
        dbus-send --session / test.Signals.Rings || return 1
    done
}
clients=()
for ((i = 0; i < 50; i++)); do asks & clients+=($!); done
for client in "${clients[@]}"; do wait "$client" || fail "a client has no answer, or a wrong one"; done
heard() {
    local i
    for ((i = 0; i < 10; i++)); do [ "$(grep -c Rings "$WORK/heard.$i" || true)" = 500 ] || return 1; done
}
until_true 20 heard || fail "a listener heard $(grep -c Rings "$WORK"/heard.* | tr '\n' ' ') of 500 signals"
kill "${listeners[@]}"
stop dbus
((STATUS == 0)) || fail "dbus-daemon ended with status $STATUS"
say "500 calls of 50 clients at once answered, 500 signals to each of 10 listeners"
