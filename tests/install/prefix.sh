#!/usr/bin/env bash
# Installs as docs/installing.md says, into a prefix by way of DESTDIR, and checks the result: every
# file, the soname and its links, the output of pkg-config. The other tests use this prefix.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$repo"
rm -rf "$prefix" "$room/destdir"

# As in docs/installing.md, with another prefix. cargo-c rebuilds for each new prefix or destdir, so
# these are always the same.
to_prefix() { sed "s| /usr/local| $prefix|; s|=/usr/local|=$prefix|"; }
destdir=$room/destdir
# The second of the two is built without the optimization that takes a minute.
while read -r command; do
    case $command in *epolyfill-side*) command="CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 $command" ;; esac
    eval "${command%%#*} --destdir=$destdir"
done < <(documented 'cargo cinstall' | to_prefix)
[ ! -e "$prefix" ] || fail "with --destdir something went to $prefix"
mv "$room/destdir$prefix" "$prefix"
same "outside of the prefix" "$(find "$room/destdir" ! -type d)" ""
rm -rf "$room/destdir"
eval "$(documented 'cargo install .*--path' | to_prefix)"
# As tests/run builds it.
eval "CARGO_TARGET_DIR='$CARGO_TARGET_DIR/side' CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 $(documented 'cargo build')"
eval "$(documented 'install -D' | sed "s|/usr/local|$prefix|g; s| target/| '$CARGO_TARGET_DIR'/side/|")"

same "what is installed" "$(cd "$prefix" && find . ! -type d | sort)" "$(grep . <<END | sort
./bin/epolyfill
./include/epolyfill.h
./lib/epolyfill/epolyfill-loader
./lib/epolyfill/libepolyfill-see.so
./lib/libepolyfill.a
./lib/libepolyfill.so
./lib/libepolyfill.so.$major
./lib/libepolyfill.so.$version
./lib/libepolyfill-side.a
./lib/libepolyfill-side.so
./lib/libepolyfill-side.so.$major
./lib/libepolyfill-side.so.$version
./lib/pkgconfig/epolyfill.pc
./lib/pkgconfig/epolyfill-side.pc
./share/cmake/epolyfill/epolyfillConfig.cmake
./share/cmake/epolyfill/epolyfillConfigVersion.cmake
$(cd "$repo" && for page in man/*.[1-8]; do [ ! -e "$page" ] || echo "./share/man/man${page##*.}/${page##*/}"; done)
$(completions . site-functions)
END
)"
for name in libepolyfill libepolyfill-side; do
    for link in $name.so "$name.so.$major"; do
        same "the link $link" "$(readlink "$prefix/lib/$link")" "$name.so.$version"
    done
done
same "the soname of the other" "$(readelf -dW "$prefix/lib/libepolyfill-side.so" | grep -o 'soname: .*')" "soname: [libepolyfill-side.so.$major]"
same "its names" "$(nm -D --defined-only "$prefix/lib/libepolyfill-side.so" | awk '{ print $NF }' | sort)" "$(grep '^epolyfill_' tests/symbols.list | sort)"
cmp include/epolyfill.h "$prefix/include/epolyfill.h"

# One soname, though build.rs and cargo-c each pass the linker one; and the same names as in the
# library under test elsewhere.
dynamic=$(readelf -dW "$prefix/lib/libepolyfill.so")
same "the soname" "$(grep -o 'soname: .*' <<<"$dynamic")" "soname: [libepolyfill.so.$major]"
grep -q 'FLAGS_1.*NODELETE' <<<"$dynamic" || fail "the library can be unloaded"
same "the exported names" "$(nm -D --defined-only "$prefix/lib/libepolyfill.so" | awk '{ print $NF }' | sort)" \
    "$(grep -v '^#' tests/symbols.list | sort)"

# pkg PACKAGE ARGUMENT...: the output of pkg-config, with resolved paths.
pkg() {
    PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig pkg-config "${@:2}" "$1" | tr ' ' '\n' | while read -r word; do
        case $word in
        -[IL]*) echo "${word:0:2}$(realpath "${word:2}")" ;;
        /*) realpath "$word" ;;
        *) echo "$word" ;;
        esac
    done | paste -sd ' ' | sed 's/ *$//'
}
for package in epolyfill epolyfill-side; do
    same "pkg-config's version" "$(pkg $package --modversion)" "$version"
    for variable in prefix= libdir=/lib includedir=/include; do
        same "pkg-config's ${variable%%=*}" "$(pkg $package --variable="${variable%%=*}")" "$prefix${variable#*=}"
    done
done
# Not dropped if only another library needs it.
same "pkg-config's flags" "$(pkg epolyfill --cflags --libs)" \
    "-I$prefix/include -L$prefix/lib -Wl,--push-state,--no-as-needed -lepolyfill -Wl,--pop-state"
same "pkg-config's flags of the other" "$(pkg epolyfill-side --cflags --libs)" "-I$prefix/include -L$prefix/lib -lepolyfill-side"
echo "ok: $prefix is complete"
