#!/usr/bin/env bash
# examples/http.c, a coroutine on a stack of its own for each connection, edge-triggered: wrk with
# 50 connections, and a client that counts each answer, with and without 1,000 other waiting
# coroutines; on the kernel's epoll and with each poller. The server must have sent the answers that
# the clients counted, and accepted and closed each of their connections, and no waiting coroutine
# may have been woken.
. "$(dirname "$0")/lib.sh"
need gcc wrk
gcc -O2 -Wall -Wextra -Werror "$HERE/../../examples/http.c" -o "$WORK/http"

# 40 connections at once; half of them send their requests one by one and half in pairs. Prints the
# number of correct answers.
cat >"$WORK/client.py" <<'PY'
import socket, sys
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n"
ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
peers = [socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) for _ in range(40)]
count = 0
for _ in range(10):
    for index, peer in enumerate(peers):
        # The second request of a pair is sent in pieces.
        peer.sendall(ASK if index % 2 else ASK + ASK[:9])
    for index, peer in enumerate(peers):
        if index % 2 == 0:
            peer.sendall(ASK[9:])
    for index, peer in enumerate(peers):
        wanted = ANSWER if index % 2 else ANSWER * 2
        got = b""
        while len(got) < len(wanted):
            piece = peer.recv(len(wanted) - len(got))
            assert piece, "a connection ended early"
            got += piece
        assert got == wanted, got
        count += len(got) // len(ANSWER)
print(count)
PY

# round WAY IDLE
round() {
    local port counted wrked served line
    port=$(free_port)
    : >"$WORK/http.out"
    serve http "$1" "$WORK/http" "$port" "$2"
    # Not by a connection, which would be counted.
    until_true 20 grep -q listening "$WORK/http.out" || fail "the server does not start"
    check_way http
    counted=$("$PYTHON" "$WORK/client.py" "$port") || fail "the client"
    timeout 60 wrk -t1 -c50 -d1s --timeout 20s "http://127.0.0.1:$port/" >"$WORK/wrk.out" 2>&1 || fail "wrk: $(cat "$WORK/wrk.out")"
    ! grep -E 'Socket errors|Non-2xx' "$WORK/wrk.out" || fail "wrk: errors"
    wrked=$(awk '/requests in/ { print $1 }' "$WORK/wrk.out")
    stop http
    ((STATUS == 0)) || fail "the server ended with status $STATUS"
    line=$(tail -n 1 "$WORK/http.out")
    # wrk opens one extra connection, to check that the server is up, and leaves with an answer in
    # flight on each of the others.
    [[ $line =~ ^"accepted 91, closed 91, requests "([0-9]+)", idle that ended 0"$ ]] || fail "the server says: $line"
    served=$((BASH_REMATCH[1] - counted))
    ((counted == 600)) || fail "$counted answers to 600 requests"
    ((wrked > 0 && served >= wrked && served <= wrked + 50)) || fail "wrk counted $wrked answers, the server $served"
    say "$1${EPOLYFILL_POLLER:+, $EPOLYFILL_POLLER}, $2 idle: $counted and $wrked answers, all counted"
}

for idle in 0 1000; do
    unset EPOLYFILL_POLLER
    round kernel $idle
    if [ "$WAY" != kernel ]; then
        for EPOLYFILL_POLLER in poll uring auto; do
            export EPOLYFILL_POLLER
            round "$WAY" $idle
        done
    fi
done
