#!/usr/bin/env bash
# redis: level-triggered ADD, MOD and DEL from one thread, timers by the timeout of the wait, fork
# for BGSAVE.
. "$(dirname "$0")/lib.sh"
need redis-server redis-benchmark redis-cli

redis() {
    local name=$1 way=$2 port=$3
    shift 3
    mkdir -p "$WORK/$name"
    serve "$name" "$way" redis-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no \
        --dir "$WORK/$name" --daemonize no "$@"
    await "$name" "$port"
}

cli() { timeout 20 redis-cli -h 127.0.0.1 -p "$port" "$@"; }

calls() { cli info commandstats | sed -n "s/^cmdstat_$1:calls=\([0-9]*\),.*/\1/p"; }

expect_calls() {
    local got
    got=$(calls "$1")
    [ "${got:-0}" = "$2" ] || fail "redis served ${got:-0} calls of $1, but the benchmark sent $2"
}

# benchmark WAY-OF-THE-CLIENT ARGS…: all default commands unless ARGS select others. redis-benchmark
# exits by itself on an error reply.
benchmark() {
    local way=$1
    shift
    run "$way" timeout 120 redis-benchmark -h 127.0.0.1 -p "$port" -c 50 --csv "$@" >"$WORK/bench.csv" 2>"$WORK/bench.err" ||
        fail "redis-benchmark $*: status $?: $(tail -n 3 "$WORK/bench.err" "$WORK/bench.csv" | tr '\n' ' ')"
    # Every line is a command and its rate: none may be missing, none zero.
    awk -F'"' 'NR > 1 { n++; if ($4 + 0 <= 0) bad = 1 } END { exit bad || n < 1 }' "$WORK/bench.csv" ||
        fail "redis-benchmark $* printed no rate for some command"
}

port=$(free_port)
kernel_port=$(free_port)
redis redis "$WAY" "$port"

benchmark kernel -n 15000
[ "$(grep -c . "$WORK/bench.csv")" -ge 20 ] || fail "redis-benchmark ran fewer commands than its default set"
benchmark kernel -n 20000 -P 16
# 35,000 of each command by the two runs; LPUSH and PING come twice, LRANGE four times.
for one in set get incr rpush lpop rpop sadd hset spop zadd zpopmin mset; do expect_calls "$one" 35000; done
for two in ping lpush; do expect_calls "$two" 70000; done
expect_calls lrange 140000
# The benchmark uses epoll too.
benchmark "$WAY" -n 15000 -t set,get
expect_calls get 50000
say "benchmark: 35000 calls of each default command from 50 connections, all answered"

timeout 120 "$PYTHON" "$HERE/redis_client.py" "$port" || fail "the client found wrong answers"

# The forked child wrote the parent's data: another redis loads it.
copy_port=$(free_port)
mkdir -p "$WORK/copy"
cp "$WORK/redis/dump.rdb" "$WORK/copy/dump.rdb"
redis copy "$WAY" "$copy_port"
timeout 60 "$PYTHON" "$HERE/redis_client.py" "$copy_port" loaded || fail "the saved data is not the data that was written"
stop copy
((STATUS == 0)) || fail "redis ended with status $STATUS on SIGTERM"

redis kernel kernel "$kernel_port"
pair() {
    local at=$kernel_port
    [ "$1" = kernel ] || at=$port
    timeout 60 redis-benchmark -h 127.0.0.1 -p "$at" -c 50 -t "$test" $load --csv 2>/dev/null |
        awk -F'"' 'NR == 2 { print $4 }'
}
for test in set get; do
    load='-n 40000'
    compare "$test" pair
    load='-n 300000 -P 16'
    compare "$test, pipelined" pair
done

for name in redis kernel; do
    stop "$name"
    ((STATUS == 0)) || fail "redis ended with status $STATUS on SIGTERM"
done
! grep -E 'BUG REPORT|ASSERT|Unrecoverable|panic' "$WORK"/*.out || fail "redis reported a failure of its own"
