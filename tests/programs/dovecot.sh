#!/usr/bin/env bash
# dovecot: a master that clears the environment of everything that it starts, and a dozen kinds of
# processes around it, each with an event loop on level-triggered registrations. Delivery by LMTP,
# login and fetching by IMAP, IDLE.
. "$(dirname "$0")/lib.sh"
need dovecot
[ -x /usr/lib/dovecot/lmtp ] || fail "dovecot-lmtpd is not installed (tests/run installs it)"
public_library

DELIVERIES=150

# Root must deliver the mails to another user; any other user can run all of it alone.
if [ "$(id -u)" -eq 0 ]; then
    internal=dovecot login=dovenull owner=nobody
else
    internal=$(id -un) login=$internal owner=$internal
fi

set_up() {
    local dir=$WORK/$1 imap=$2 lmtp=$3
    mkdir -p "$dir/mail"
    [ "$(id -u)" -ne 0 ] || chown "$owner" "$dir/mail"
    cat >"$dir/dovecot.conf" <<CONF
base_dir = $dir/run
state_dir = $dir/state
log_path = $dir/log
protocols = imap lmtp
ssl = no
disable_plaintext_auth = no
default_internal_user = $internal
default_internal_group = $(id -gn "$internal")
default_login_user = $login
first_valid_uid = 0
auth_username_chars =
mail_location = maildir:~/Maildir
passdb {
    driver = static
    args = password=secret
}
userdb {
    driver = static
    args = uid=$(id -u "$owner") gid=$(id -g "$owner") home=$dir/mail/%u allow_all_users=yes
}
service anvil {
    chroot =
}
service imap-login {
    chroot =
    inet_listener imap {
        address = 127.0.0.1
        port = $imap
    }
    inet_listener imaps {
        port = 0
    }
}
service imap-urlauth-login {
    chroot =
}
service lmtp {
    inet_listener lmtp {
        address = 127.0.0.1
        port = $lmtp
    }
}
CONF
    watch_log "$dir/log"
}

start() {
    serve "$1" "$2" dovecot -F -c "$WORK/$1/dovecot.conf"
    await "$1" "$3"
}

session() {
    local name=$1 way=$2 imap lmtp
    imap=$(free_port)
    lmtp=$(free_port)
    set_up "$name" "$imap" "$lmtp"
    start "$name" "$way" "$imap"
    timeout 100 "$PYTHON" "$HERE/mail_client.py" deliver lmtp "$lmtp" "$DELIVERIES" || fail "$name does not deliver"
    timeout 100 "$PYTHON" "$HERE/mail_client.py" fetch "$imap" "$lmtp" "$DELIVERIES" || fail "$name does not give the mails back"
    check_children "$name" "${PID[$name]}" "$way"
    stop "$name"
    ((STATUS == 0)) || fail "$name ended with status $STATUS"
    ! grep -E 'Fatal|Panic|Error' "$WORK/$name/log" || fail "$name logged errors"
    say "$name: $DELIVERIES mails delivered, fetched eight times, and one more in IDLE"
}

session dovecot "$WAY"
[ "$WAY" = kernel ] || session kernel kernel
