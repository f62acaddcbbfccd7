#!/usr/bin/env bash
# PostgreSQL: each backend waits on an instance with its socket, its latch (a signalfd) and a pipe
# that reports the postmaster's death, in a forked process; 40 sessions whose sums are compared, and
# a shutdown without a trace of a crash.
. "$(dirname "$0")/lib.sh"
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$bin/initdb" ] && [ -x "$bin/pgbench" ] || fail "PostgreSQL is not installed (tests/run installs it)"
PATH=$bin:$PATH

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid postgres --regid postgres --clear-groups)
    mkdir "$WORK/db"
    chown postgres "$WORK/db"
fi
cd "$WORK"
run "$WAY" "${as[@]}" initdb -D "$WORK/db" -U tester -A trust --no-sync >"$WORK/initdb.out" 2>&1 ||
    fail "initdb: status $?: $(tail -n 3 "$WORK/initdb.out")"
port=$(free_port)
serve postgres "$WAY" "${as[@]}" postgres -D "$WORK/db" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c max_connections=60 -c log_min_messages=info

sql() { timeout 30 psql -h 127.0.0.1 -p "$port" -U tester -d postgres -Atq -v ON_ERROR_STOP=1 "$@"; }
ready() { grep -q 'ready to accept connections' "$WORK/postgres.out"; }
until_true 20 ready || fail "postgres takes no queries"
bench() { timeout 60 pgbench -h 127.0.0.1 -p "$port" -U tester "$@" postgres >"$WORK/bench.out" 2>&1 || fail "pgbench $*: $(tail -n 4 "$WORK/bench.out")"; }
done_in_bench() { sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$WORK/bench.out"; }

bench -i -s 2
# pgbench is an event loop of its own on ppoll; 40 sessions at once.
bench -n -c 40 -j 2 -T 4
transactions=$(done_in_bench)
grep -q '^number of failed transactions: 0 ' "$WORK/bench.out" || fail "transactions failed: $(cat "$WORK/bench.out")"
# Each has left a line, and the sums agree: every transaction was done once.
[ "$(sql -c 'select count(*) from pgbench_history')" = "$transactions" ] || fail "not every transaction is in the history"
sums=$(sql -c 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)
    and (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)
    and (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history)')
[ "$sums" = t ] || fail "the sums do not agree"
# One session for each transaction.
bench -n -C -S -c 4 -T 2
connected=$(done_in_bench)


check_way postgres
# The death of one child would have ended all of them, and would be in the log.
stop postgres INT 20
((STATUS == 0)) || fail "postgres ended with status $STATUS"
! grep -E 'PANIC|FATAL|terminated by signal|was not properly shut down' "$WORK/postgres.out" || fail "postgres reported a failure of its own"
grep -q 'database system is shut down' "$WORK/postgres.out" || fail "postgres did not shut down cleanly"
say "$transactions transactions in 40 sessions, each with its line; $connected sessions of one query; a clean shutdown"
