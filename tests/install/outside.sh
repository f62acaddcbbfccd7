#!/usr/bin/env bash
# outside.sh make|cmake|meson: builds a third-party project against the installed prefix, and
# against the same prefix moved to another place. The programs run on the library of that place, and
# no other.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
scratch
build=$1

moved=$scratch/moved
cp -a "$prefix" "$moved"

with_make() {
    local libdir=$1/lib/pkgconfig out=$2
    mkdir -p "$out"
    PKG_CONFIG_LIBDIR=$libdir make --no-print-directory -s -C "$here/outside/make" OUT="$out"
}

with_cmake() {
    cmake -S "$here/outside/cmake" -B "$2" -DCMAKE_PREFIX_PATH="$1" -DCMAKE_BUILD_TYPE=Release >/dev/null
    cmake --build "$2" >/dev/null
    grep -q "^epolyfill_DIR:PATH=$1/" "$2/CMakeCache.txt" || fail "cmake found another epolyfill than that of $1"
}

with_meson() {
    PKG_CONFIG_LIBDIR=$1/lib/pkgconfig meson setup "$2" "$here/outside/meson" >"$2.log" || { cat "$2.log" >&2; fail "meson setup"; }
    ninja -C "$2" >"$2.log" || { cat "$2.log" >&2; fail "ninja"; }
}

for place in "$prefix" "$moved"; do
    if [ "$place" = "$moved" ]; then
        # Makes pkg-config derive the prefix from the file's own place, which is the default on
        # other systems.
        printf '#!/bin/sh\nexec %s --define-prefix "$@"\n' "$(command -v pkg-config)" >"$scratch/pkg-config"
        chmod 755 "$scratch/pkg-config"
        PATH=$scratch:$PATH
        export PKG_CONFIG=$scratch/pkg-config
    fi
    out=$scratch/${place##*/}.build
    "with_$build" "$place" "$out"
    for program in c cxx libevent; do
        readelf -dW "$out/$program" | grep -qF "Shared library: [libepolyfill.so.$major]" || fail "$program does not ask for libepolyfill.so.$major"
        served "$out/$program" "$place/lib/libepolyfill.so.$version"
    done
    served "$out/side" "$place/lib/libepolyfill-side.so.$version"
    if [ "$build" = cmake ]; then
        # The static library: no file of ours at run time, and libc's own names are ours throughout
        # the process.
        for program in c-static cxx-static; do
            ! readelf -dW "$out/$program" | grep -q epolyfill || fail "$program asks for the shared library"
            same "names of libc that $program does not take over" "$(comm -23 <(grep -v '^#\|^_*epolyfill_\|^__[at]san_' "$repo/tests/symbols.list" | sort) \
                <(nm -D --defined-only "$out/$program" | awk '{ print $NF }' | sort))" ""
            served "$out/$program" "$out/$program"
        done
    fi
done
