#!/usr/bin/env bash
# The launcher finds the library of its own prefix: where it was installed, after a move, through a
# symbolic link, and with the library in the architecture's directory. Without a library it reports
# an error.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
scratch

check() {
    local maps
    maps=$("$1" --no-kernel-epoll -- grep -o '/.*/libepolyfill.*' /proc/self/maps | sort -u) || fail "$1 failed"
    [ "$maps" -ef "$2" ] || fail "$1 loads '$maps' instead of $2"
    echo "ok: $1 loads $maps"
}

check "$prefix/bin/epolyfill" "$prefix/lib/libepolyfill.so"

cp -a "$prefix" "$scratch/moved"
check "$scratch/moved/bin/epolyfill" "$scratch/moved/lib/libepolyfill.so"

ln -s "$prefix/bin/epolyfill" "$scratch/link"
check "$scratch/link" "$prefix/lib/libepolyfill.so"

[[ $("$scratch/moved/bin/epolyfill" --audit-exit=9 -- true 2>&1) == "audit: 0 faults, "* ]] || fail "the moved launcher does not audit a program"

# Where cargo-c puts the library on Debian by default.
triplet=$(gcc -print-multiarch)
mkdir "$scratch/moved/lib/$triplet"
mv "$scratch"/moved/lib/libepolyfill* "$scratch/moved/lib/$triplet"
check "$scratch/moved/bin/epolyfill" "$scratch/moved/lib/$triplet/libepolyfill.so"

rm "$scratch/moved/lib/$triplet"/libepolyfill*
code=0
said=$("$scratch/moved/bin/epolyfill" -- true 2>&1) || code=$?
[ "$code" = 125 ] && [[ $said == *"is neither in"* ]] || fail "without a library: status $code, $said"

# A program that is linked with the library must not have two of them.
PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig make --no-print-directory -s -C "$here/outside/make" OUT="$scratch" c
[ "$("$prefix/bin/epolyfill" --no-kernel-epoll -- "$scratch/c")" ] || fail "a linked program does not run under the launcher"
check_twice=$("$prefix/bin/epolyfill" -- sh -c "LD_DEBUG=files '$scratch/c' 2>&1" | grep -c 'calling init: .*libepolyfill')
[ "$check_twice" = 1 ] || fail "a linked program under the launcher has $check_twice libraries"
