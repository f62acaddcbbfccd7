#!/usr/bin/env bash
# postfix: a master that clears the environment, and a process for each step of a mail, all of them
# event loops. The test runs an instance of its own, with its own queue, and does not touch the
# system's.
. "$(dirname "$0")/lib.sh"
if [ "$(id -u)" -ne 0 ]; then
    say "postfix starts for root only: skipped"
    exit 77
fi
need postfix postconf
public_library

MAILS=200

set_up() {
    local dir=$WORK/$1 port=$2
    mkdir -p "$dir/etc" "$dir/queue" "$dir/data" "$dir/mail"
    chown postfix "$dir/data"
    chown nobody "$dir/mail"
    touch "$dir/log"
    cat >"$dir/etc/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $dir/queue
data_directory = $dir/data
maillog_file = $dir/log
maillog_file_prefixes = $WORK
multi_instance_name = postfix-$1
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_base = $dir/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:$(id -u nobody)
virtual_gid_maps = static:$(id -g nobody)
virtual_minimum_uid = 1
CONF
    cat >"$dir/etc/master.cf" <<CONF
127.0.0.1:$port inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
CONF
    watch_log "$dir/log"
}

start() {
    serve "$1" "$2" postfix -c "$WORK/$1/etc" start-fg
    await "$1" "$3"
    # The master leaves the script's process group, and must be found if the test fails.
    PID[$1-master]=$(master_of "$1")
}

master_of() { tr -d ' ' <"$WORK/$1/queue/pid/master.pid"; }

session() {
    local name=$1 way=$2 port
    port=$(free_port)
    set_up "$name" "$port"
    start "$name" "$way" "$port"
    timeout 100 "$PYTHON" "$HERE/mail_client.py" deliver smtp "$port" "$MAILS" || fail "$name does not take the mails"
    timeout 100 "$PYTHON" "$HERE/mail_client.py" maildir "$WORK/$name/mail/box" "$MAILS" || fail "$name does not deliver"
    check_children "$name" "$(master_of "$name")" "$way"
    # The started script waits for the master.
    kill "$(master_of "$name")"
    ended "$name" 15
    unset "PID[$name-master]"
    ! grep -E 'fatal|panic|error:|warning: process' "$WORK/$name/log" || fail "$name logged errors"
    say "$name: $MAILS mails taken and delivered"
}

session postfix "$WAY"
[ "$WAY" = kernel ] || session kernel kernel
