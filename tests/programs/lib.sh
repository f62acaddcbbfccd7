# Shared by the program tests, which source it.
#
# A test runs a real program in one of four ways, and the test is the same in all of them:
#   refused   under the launcher, every epoll call of the kernel refused (the default)
#   preload   under the launcher, the kernel's epoll within reach
#   chaos     over the kernel's epoll, under --chaos with the seed in EPOLYFILL_TEST_SEED
#   kernel    without the launcher (a test that fails here is itself wrong)
# EPOLYFILL_TEST_WAY chooses the way, EPOLYFILL names the launcher. Where EPOLYFILL_TEST_KERNEL_EPOLL
# is "no" (tests/kernel/run), the kernel has none: the programs that would run beside the tested one
# on the kernel's epoll run on a library that is preloaded, and no rates are compared.
# EPOLYFILL_TEST_PATIENCE multiplies the limits of time, for an emulated machine.

set -Eeuo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NAME=$(basename "$0" .sh)
WAY=${EPOLYFILL_TEST_WAY:-refused}
EPOLYFILL=${EPOLYFILL:-$HERE/../../target/release/epolyfill}
PYTHON=${EPOLYFILL_PYTHON:-/usr/bin/python3.11}
KERNEL_EPOLL=${EPOLYFILL_TEST_KERNEL_EPOLL:-yes}
PATIENCE=${EPOLYFILL_TEST_PATIENCE:-1}
# These are not settings of the library, which would report them in the programs' logs.
export -n EPOLYFILL_TEST_WAY EPOLYFILL_PYTHON EPOLYFILL_TEST_KERNEL_EPOLL EPOLYFILL_TEST_PATIENCE

# Debian has nginx in sbin, which is not in every PATH.
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8

declare -A PID=() STARTED_AS=()
LOGS=()
STATUS=0

say() { echo "$NAME: $*"; }

# fail WHAT: ends the test; the logs are printed on the way out.
fail() {
    echo "$NAME: FAILED: $*" >&2
    trap - ERR
    exit 1
}

need() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null || fail "$tool is not installed (tests/run installs it)"
    done
}

# prefix WAY: leaves in PREFIX the words before the program's own command line.
prefix() {
    case $1 in
    kernel) PREFIX=() ;;
    preload) PREFIX=("$EPOLYFILL" --) ;;
    chaos) PREFIX=("$EPOLYFILL" --chaos="${EPOLYFILL_TEST_SEED:-1}" --) ;;
    refused) PREFIX=("$EPOLYFILL" --no-kernel-epoll --) ;;
    *) fail "no such way: $1" ;;
    esac
}

# run WAY PROGRAM ARGS…: in the foreground.
run() {
    prefix "$1"
    shift
    "${PREFIX[@]}" "$@"
}

# public_library: makes the launcher load a copy of the library that every user can read, for
# servers that drop root before they execute.
public_library() {
    [ "$WAY" != kernel ] || return 0
    cp "${EPOLYFILL_LIBRARY:-$(dirname "$EPOLYFILL")/libepolyfill.so}" "$WORK/libepolyfill.so"
    chmod 755 "$WORK/libepolyfill.so"
    export EPOLYFILL_LIBRARY=$WORK/libepolyfill.so
}

# free_port: prints a port of 127.0.0.1 that the system picked and does not assign again for a
# minute. A connection of the port is left in TIME_WAIT: the port can still be bound explicitly with
# SO_REUSEADDR, as every server here does, but the kernel does not use it as an ephemeral port
# meanwhile.
free_port() {
    "$PYTHON" - <<'PY'
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 0))
s.listen(1)
port = s.getsockname()[1]
c = socket.create_connection(("127.0.0.1", port))
a, _ = s.accept()
a.close()
c.recv(1)
c.close()
s.close()
print(port)
PY
}

# watch_log FILE: its tail is printed when the test fails.
watch_log() { LOGS+=("$1"); }

# serve NAME WAY PROGRAM ARGS…: starts a program in the background, in a process group of its own so
# that its children can be found and stopped with it. Its output goes to $WORK/NAME.out. A shell
# ignores SIGINT and SIGQUIT in the programs that it starts in the background, and Python then
# raises no KeyboardInterrupt; here the program gets the defaults of the foreground.
serve() {
    local name=$1 way=$2
    shift 2
    prefix "$way"
    watch_log "$WORK/$name.out"
    setsid env --default-signal=INT,QUIT "${PREFIX[@]}" "$@" >>"$WORK/$name.out" 2>&1 </dev/null &
    PID[$name]=$!
    STARTED_AS[$name]=$way
}

alive() { kill -0 "${PID[$1]}" 2>/dev/null; }

# until_true SECONDS COMMAND…: repeats the command until it succeeds; false when the time is up.
until_true() {
    local end=$((SECONDS + $1 * PATIENCE))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

connects() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

answers_or_dead() { connects "$2" || ! alive "$1"; }

# await NAME PORT: waits until the server accepts connections, and checks that it runs the intended
# way.
await() {
    until_true 20 answers_or_dead "$1" "$2" || fail "$1 does not accept connections on port $2"
    alive "$1" || fail "$1 ended while it was starting"
    check_way "$1"
}

# The /proc entry of a process disappears with it, so unreadable ones are skipped. PostgreSQL's
# children have process groups of their own.
descriptors_of_group() {
    local pid
    for pid in $(pgrep -g "$1" || true) $(pgrep -P "$1" || true); do
        find "/proc/$pid/fd" -type l -printf '%l\n' 2>/dev/null || true
    done
}

kernels_epolls() { descriptors_of_group "$1" | grep -c 'anon_inode:\[eventpoll\]' || true; }
has_kernels_epoll() { (($(kernels_epolls "$1") > 0)); }

# check_way NAME: proves that the test runs on what it claims. Without it, a library that failed to
# load would pass.
check_way() {
    local name=$1 pid=${PID[$1]} kernel
    kernel=$(kernels_epolls "$pid")
    case ${STARTED_AS[$name]}/$KERNEL_EPOLL in
    kernel/yes | chaos/yes)
        # A server may accept connections before it has an epoll descriptor.
        ((kernel > 0)) || until_true 10 has_kernels_epoll "$pid" || fail "$name has no epoll descriptor of the kernel, so the test shows nothing"
        ;;
    *)
        grep -q libepolyfill "/proc/$pid/maps" || fail "$name does not have the library loaded"
        ((kernel == 0)) || fail "$name has $kernel epoll descriptors of the kernel"
        ;;
    esac
    if [ "${STARTED_AS[$name]}" = refused ]; then
        grep -q '^Seccomp:[[:space:]]*2' "/proc/$pid/status" || fail "$name runs without the filter that refuses epoll"
    fi
}

# A process that was just executed maps the library after a moment; one that has ended has no
# mappings.
has_library_or_ended() {
    grep -q libepolyfill "/proc/$1/maps" 2>/dev/null || ! grep -q . "/proc/$1/maps" 2>/dev/null
}
has_no_library() { ! grep -q libepolyfill "/proc/$1/maps" 2>/dev/null; }

# check_children NAME PID WAY: the processes that PID has started run the same way, although it
# cleared their environment.
check_children() {
    local name=$1 parent=$2 way=$3 pid count=0
    for pid in $(pgrep -P "$parent"); do
        if [ "$way" = kernel ]; then
            has_no_library "$pid" || fail "$(ps -o comm= -p "$pid") has the library loaded"
        else
            until_true 10 has_library_or_ended "$pid" || fail "$(ps -o comm= -p "$pid") does not have the library loaded"
        fi
        count=$((count + 1))
    done
    ((count >= 4)) || fail "$name has started only $count processes"
}

# check_python PYTHON: the same proof for tests that end too early to be checked, or would work with
# another selector than epoll: a program of its own, run as they are, has an epoll descriptor of the
# kind that the way requires.
check_python() {
    run "$WAY" "$1" - "$WAY" <<'PY' || fail "$1 does not run on the expected epoll"
import os, select, selectors, sys
way = sys.argv[1]
epoll = select.epoll()
read, write = os.pipe()
epoll.register(read, select.EPOLLIN)
os.write(write, b"x")
assert epoll.poll(0) == [(read, select.EPOLLIN)], "epoll does not report"
assert selectors.DefaultSelector is selectors.EpollSelector, "epoll is not the selector of choice"
is_kernels = "eventpoll" in os.readlink(f"/proc/self/fd/{epoll.fileno()}")
is_loaded = "libepolyfill" in open("/proc/self/maps").read()
assert is_kernels == (way == "kernel"), "not the epoll that was meant"
assert is_loaded == (way != "kernel"), "the library is loaded, or is not, against what was meant"
assert way != "refused" or "\nSeccomp:\t2\n" in open("/proc/self/status").read(), "nothing refuses the kernel's epoll"
PY
}

gone() { ! kill -0 "${PID[$1]}" 2>/dev/null; }
group_gone() { ! kill -0 -- "-$1" 2>/dev/null; }

# stop NAME [SIGNAL [SECONDS]]: asks the server to end, and waits. Its status is left in STATUS. A
# server that does not end in time, or leaves a child behind, fails the test.
stop() {
    local name=$1 signal=${2:-TERM} bound=${3:-15}
    local pid=${PID[$name]}
    kill "-$signal" "$pid" 2>/dev/null || fail "$name had ended before it was asked to"
    ended "$name" "$bound"
}

# ended NAME SECONDS: the second half of stop.
ended() {
    local name=$1 bound=$2
    local pid=${PID[$name]}
    until_true "$bound" gone "$name" || fail "$name has not ended in $bound s"
    STATUS=0
    wait "$pid" || STATUS=$?
    until_true 15 group_gone "$pid" || fail "$name left processes behind: $(pgrep -g "$pid" -a | tr '\n' ';')"
    unset "PID[$name]"
}

# median NUMBERS…
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# compare WHAT COMMAND: runs `COMMAND kernel` and `COMMAND way`, each of which prints one rate, in
# three pairs, and compares the median of the pairs' ratios with a bound. Pairs, because the speed of
# the machine varies more than the two rates differ. On a busy machine it can vary within most of
# three pairs: six or nine decide if three are below the bound. It catches a collapse; this is not a
# benchmark.
compare() {
    if [ "$KERNEL_EPOLL" = no ]; then
        say "$1: not compared, since this kernel has no epoll"
        return
    fi
    local what=$1 command=$2 kernel=() way=() ratios=() i ratio
    for i in {1..9}; do
        if ((i % 2)); then
            kernel+=("$($command kernel)")
            way+=("$($command way)")
        else
            way+=("$($command way)")
            kernel+=("$($command kernel)")
        fi
        ratios+=("$(awk -v w="${way[-1]}" -v k="${kernel[-1]}" 'BEGIN { printf "%.2f", (k > 0) ? w / k : 0 }')")
        ((i % 3 == 0)) || continue
        ratio=$(median "${ratios[@]}")
        say "$what: $(median "${way[@]}")/s, $(median "${kernel[@]}")/s on the kernel, ratio $ratio of $i pairs"
        if awk -v r="$ratio" 'BEGIN { exit !(r >= 0.5) }'; then return 0; fi
    done
    fail "$what: ratio $ratio is below 0.5 (${way[*]} against ${kernel[*]})"
}

clean_up() {
    local status=$? name pid log
    trap - EXIT ERR INT TERM
    set +e
    for name in "${!PID[@]}"; do
        pid=${PID[$name]}
        kill -TERM -- "-$pid" 2>/dev/null
        until_true 3 group_gone "$pid" || kill -KILL -- "-$pid" 2>/dev/null
        # Also the number alone: the group exists only after setsid has run.
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    if ((status != 0)); then
        for log in "${LOGS[@]}"; do
            [ -s "$log" ] || continue
            echo "--- the last lines of $(basename "$log")" >&2
            tail -n 40 "$log" >&2
        done
    fi
    rm -rf "$WORK"
    exit "$status"
}

# Short, because the path of a unix socket must fit in 108 bytes; readable for all, because nginx
# started by root runs its workers as another user.
WORK=$(mktemp -d "${TMPDIR:-/tmp}/epf.XXXXXX")
chmod 755 "$WORK"
trap clean_up EXIT
trap 'echo "$NAME: FAILED at line $LINENO: $BASH_COMMAND" >&2' ERR
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$PATIENCE" != 1 ]; then
    mkdir "$WORK/bin"
    printf '#!/bin/sh\nlimit=$(($1 * %s))\nshift\nexec %q "$limit" "$@"\n' "$PATIENCE" "$(command -v timeout)" >"$WORK/bin/timeout"
    chmod 755 "$WORK/bin/timeout"
    PATH=$WORK/bin:$PATH
fi

# A thousand connections do not fit in the usual soft limit of 1024.
hard=$(ulimit -Hn)
if [ "$hard" = unlimited ] || ((hard > 8192)); then ulimit -Sn 8192; else ulimit -Sn "$hard"; fi

[ "$WAY" = kernel ] || [ -x "$EPOLYFILL" ] || fail "no launcher at $EPOLYFILL (set EPOLYFILL, or EPOLYFILL_TEST_WAY=kernel)"
need "$PYTHON" pgrep setsid timeout
