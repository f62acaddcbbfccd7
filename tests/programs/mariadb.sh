#!/usr/bin/env bash
# MariaDB with its thread pool, each group of which waits on an epoll descriptor (one-shot): 40
# sessions insert and read at once, the rows are counted and added up, and it shuts down cleanly.
. "$(dirname "$0")/lib.sh"
need mariadbd mariadb mariadb-slap mariadb-install-db
port=$(free_port)
user=$(id -un)
mariadb-install-db --no-defaults --user="$user" --datadir="$WORK/data" --auth-root-authentication-method=normal \
    --skip-test-db >"$WORK/install.out" 2>&1 || fail "mariadb-install-db: $(tail -n 3 "$WORK/install.out")"
serve mariadb "$WAY" mariadbd --no-defaults --user="$user" --datadir="$WORK/data" --socket="$WORK/s" --pid-file="$WORK/pid" \
    --bind-address=127.0.0.1 --port="$port" --thread-handling=pool-of-threads --thread-pool-size=4 --max-connections=100 \
    --innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 --skip-log-bin
await mariadb "$port"
sql() { timeout 60 mariadb --no-defaults -u root -h 127.0.0.1 -P "$port" -N -B "$@"; }
sql -e 'create database d; create table d.t (a int auto_increment primary key, b int)'
timeout 120 mariadb-slap --no-defaults -u root -h 127.0.0.1 -P "$port" --create-schema=d --no-drop --concurrency=40 --number-of-queries=8000 \
    --delimiter=';' --query='insert into t (b) values (7); select sum(b) from t where a <= 100' >"$WORK/slap.out" 2>&1 ||
    fail "mariadb-slap: $(tail -n 2 "$WORK/slap.out")"
# One session for each query.
for ((i = 0; i < 40; i++)); do sql d -e 'insert into t (b) values (7)'; done
read -r rows sum < <(sql d -e 'select count(*), sum(b) from t')
((rows > 40 && sum == 7 * rows)) || fail "$rows rows add up to $sum"
[ "$rows" = "$(sql d -e 'select count(distinct a) from t')" ] || fail "a row exists twice"
check_way mariadb
stop mariadb TERM 30
((STATUS == 0)) || fail "mariadbd ended with status $STATUS"
say "$rows rows from 40 sessions and 40 short ones, all there"
