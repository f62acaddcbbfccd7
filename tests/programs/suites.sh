# Repeats the failed cases of a third-party test suite; sourced after lib.sh.
#
# Such suites assert delays in milliseconds, which a busy machine does not keep. A failed case is
# run again by itself, alternately on the library and on the kernel's epoll, so that both have the
# same load.

# repeat SUITE RUN CASES…: `RUN WAY CASE` runs one case. A case fails the test if it fails three
# times of three on the library and passes three times of three on the kernel's epoll. Every
# repetition is printed.
repeat() {
    local suite=$1 run=$2 case
    shift 2
    (($# > 0)) || fail "$suite failed without naming a case"
    (($# <= 20)) || fail "$suite: $# cases failed, among them ${*:1:8}"
    for case; do repeat_case "$suite" "$run" "$case"; done
}

repeat_case() {
    local suite=$1 run=$2 case=$3 status reference
    for _ in 1 2 3; do
        status=0
        reference=0
        "$run" "$WAY" "$case" >"$WORK/repeated.out" 2>&1 </dev/null || status=$?
        "$run" kernel "$case" >"$WORK/reference.out" 2>&1 </dev/null || reference=$?
        say "$suite: $case failed, and again alone: status $status, on the kernel's epoll $reference"
        # The case can no longer fail the test.
        ((status != 0 && reference == 0)) || return 0
    done
    watch_log "$WORK/repeated.out"
    fail "$suite: $case fails three times of three, and passes three times of three on the kernel's epoll"
}

# python_cases FILE…: the failed cases that unittest prints, by their full names.
python_cases() {
    sed -nE 's/^(FAIL|ERROR): [^ ]+ \(([A-Za-z0-9_.]+)\).*/\2/p' "$@" | sort -u
}

# cpython_passed NAME CLOSING: the CPython tests that run as the server NAME end, and either all of
# them pass (then their output has the line `CLOSING OK`), or a repetition excuses the failed ones.
cpython_passed() {
    local cases
    ended "$1" 400
    if ((STATUS == 0)); then
        grep -q "^$2 OK" "$WORK/$1.out" || fail "CPython's own tests did not all run"
        return
    fi
    mapfile -t cases < <(python_cases "$WORK/$1.out")
    repeat "CPython's tests" cpython_case "${cases[@]}"
}
# The module's name follows `test.`; a package of tests has one name for all of its modules. Where the
# kernel has no epoll, the reference is a Python without the library, whose selectors use poll.
cpython_case() {
    local module=${2#test.} without=()
    [ "$1/$KERNEL_EPOLL" != kernel/no ] || without=(env -u LD_PRELOAD)
    run "$1" "${without[@]}" timeout 300 "$PYTHON" -m test -u network --timeout $((150 * PATIENCE)) "${module%%.*}" -m "$2"
}
