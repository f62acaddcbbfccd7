#!/usr/bin/env bash
# Rust's polling on rustix, whose system call instructions are trapped, with each poller, optimized
# and not; and the children of such a program, of every kind, with the library and without.
. "$(dirname "$0")/lib.sh"
need cargo gcc

target=${CARGO_TARGET_DIR:-$HERE/../../target}/programs
for profile in dev release; do
    CARGO_TARGET_DIR=$target cargo build --quiet --profile "$profile" --locked --manifest-path "$HERE/rustix-echo/Cargo.toml" \
        >"$WORK/build.out" 2>&1 || fail "rustix-echo does not build: $(tail -n 20 "$WORK/build.out")"
done

# Dynamic and static children, those at fixed addresses, a script, a setuid program.
printf '#include <stdio.h>\nint main(void) { puts("ran"); return 0; }\n' >"$WORK/ran.c"
gcc "$WORK/ran.c" -o "$WORK/dynamic"
gcc -no-pie "$WORK/ran.c" -o "$WORK/fixed"
gcc -static "$WORK/ran.c" -o "$WORK/static"
gcc -static-pie "$WORK/ran.c" -o "$WORK/static-pie"
printf '#!/bin/sh\necho ran\n' >"$WORK/script"
cp "$WORK/dynamic" "$WORK/setuid"
chmod 755 "$WORK/script"
((UID != 0)) || chown nobody "$WORK/setuid"
chmod 4755 "$WORK/setuid"
children=("$WORK"/{dynamic,fixed,static,static-pie,script,setuid})
if command -v go >/dev/null; then
    printf 'package main\nimport "os"\nfunc main() { os.Stdout.WriteString("ran\\n") }\n' >"$WORK/ran.go"
    CGO_ENABLED=0 GOFLAGS='' GOCACHE=$target/go-cache HOME=$WORK go build -o "$WORK/go" "$WORK/ran.go" >"$WORK/build.out" 2>&1 ||
        fail "$(tail -n 5 "$WORK/build.out")"
    children+=("$WORK/go")
fi

case $WAY in
kernel) pollers=(poll) expected="eventpolls: 1 served: false" ;;
*) pollers=(poll uring auto) expected="eventpolls: 0 served: true" ;;
esac
# echo_with PROFILE WORD EXPECTED: runs the program behind the words of PREFIX.
echo_with() {
    local said
    said=$(timeout 120 "${PREFIX[@]}" "$target/$1/rustix-echo" "$2" "${children[@]}" 2>"$WORK/err") ||
        fail "$1, $2: status $?: $(head -n 12 "$WORK/err")"
    [ "$said" = "3000000 bytes, $3" ] || fail "$1, $2: $said"
    [ ! -s "$WORK/err" ] || fail "$1, $2: $(cat "$WORK/err")"
    say "${EPOLYFILL_POLLER:-}${EPOLYFILL_POLLER:+, }$1, $2: $said"
}
prefix "$WAY"
for poller in "${pollers[@]}"; do
    for profile in debug release; do
        EPOLYFILL_POLLER=$poller echo_with "$profile" first "$expected"
    done
done
# Children that have the filter, and not the library.
EPOLYFILL_CHILDREN=no echo_with release once "$expected"
# Without CAP_SYS_ADMIN a filter needs no_new_privs.
if ((UID == 0)) && command -v setpriv >/dev/null; then
    PREFIX=(setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "${PREFIX[@]}")
    echo_with release first "$expected"
fi
# A setuid child gets its privilege if the program needed none for the filter (docs/differences.md).
if ((UID == 0)) && [ "$WAY" != kernel ] && command -v setpriv >/dev/null; then
    library=${EPOLYFILL_LIBRARY:-$(dirname "$EPOLYFILL")/libepolyfill.so}
    printf '#include <stdio.h>\n#include <unistd.h>\nint main(void) { fprintf(fopen(FILE_NAME, "w"), "%%d", geteuid()); return puts("ran") < 0; }\n' >"$WORK/euid.c"
    gcc -DFILE_NAME="\"$WORK/euid\"" "$WORK/euid.c" -o "$WORK/privileged"
    chown nobody "$WORK/privileged"
    chmod 4755 "$WORK/privileged"
    chmod 777 "$WORK"
    # euid WORDS…: the child's, of a program that is started by these words
    euid() {
        rm -f "$WORK/euid"
        "$@" "$target/release/rustix-echo" once "$WORK/privileged" >"$WORK/out" 2>&1 || fail "$*: $(head -n 12 "$WORK/out")"
        cat "$WORK/euid"
    }
    nobody=$(euid env)
    without=(setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin)
    [ "$(euid env LD_PRELOAD="$library")" = "$nobody" ] || fail "a setuid child has no privilege, with CAP_SYS_ADMIN"
    [ "$(euid "${without[@]}" env LD_PRELOAD="$library" EPOLYFILL_RAW=no)" = "$nobody" ] || fail "a setuid child has no privilege, without a filter"
    [ "$(euid "${without[@]}" env LD_PRELOAD="$library")" = 0 ] || fail "a setuid child has its privilege, without CAP_SYS_ADMIN"
fi
# On the kernel's epoll, by way of the library.
if [ "$WAY" != kernel ] && [ -n "${EPOLYFILL_TEST_SEE_LIBRARY:-}" ]; then
    PREFIX=("$EPOLYFILL" --poller=kernel --)
    EPOLYFILL_LIBRARY=$EPOLYFILL_TEST_SEE_LIBRARY echo_with release first "eventpolls: 1 served: true"
fi
