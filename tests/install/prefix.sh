#!/usr/bin/env bash
# Installs as README.md says, into a prefix by way of DESTDIR, and looks at what is there: every file, the soname and its links, what
# pkg-config tells. The other tests use this prefix.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$repo"
rm -rf "$prefix" "$room/destdir"

# As in README.md, but for the prefix. cargo-c builds anew for each other prefix or destdir, so these are always the same.
to_prefix() { sed "s| /usr/local| $prefix|; s|=/usr/local|=$prefix|"; }
eval "$(readme 'cargo cinstall' | to_prefix) --destdir=$room/destdir"
[ ! -e "$prefix" ] || fail "with --destdir something went to $prefix"
mv "$room/destdir$prefix" "$prefix"
same "outside of the prefix" "$(find "$room/destdir" ! -type d)" ""
rm -rf "$room/destdir"
eval "$(readme 'cargo install .*--path' | to_prefix)"

same "what is installed" "$(cd "$prefix" && find . ! -type d | sort)" "$(sort <<END
./bin/epolyfill
./include/epolyfill.h
./lib/libepolyfill.a
./lib/libepolyfill.so
./lib/libepolyfill.so.$major
./lib/libepolyfill.so.$version
./lib/pkgconfig/epolyfill.pc
./share/cmake/epolyfill/epolyfillConfig.cmake
./share/cmake/epolyfill/epolyfillConfigVersion.cmake
$(cd "$repo" && for page in man/*.[1-8]; do [ ! -e "$page" ] || echo "./share/man/man${page##*.}/${page##*/}"; done)
END
)"
for link in libepolyfill.so "libepolyfill.so.$major"; do
    same "the link $link" "$(readlink "$prefix/lib/$link")" "libepolyfill.so.$version"
done
cmp include/epolyfill.h "$prefix/include/epolyfill.h"

# One soname, though build.rs and cargo-c each give the linker one; and the same names as the library that the other tests test.
dynamic=$(readelf -dW "$prefix/lib/libepolyfill.so")
same "the soname" "$(grep -o 'soname: .*' <<<"$dynamic")" "soname: [libepolyfill.so.$major]"
grep -q 'FLAGS_1.*NODELETE' <<<"$dynamic" || fail "the library can be unloaded"
same "the exported names" "$(nm -D --defined-only "$prefix/lib/libepolyfill.so" | awk '{ print $NF }' | sort)" \
    "$(grep -v '^#' tests/symbols.list | sort)"

pkg() { PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig pkg-config "$@" epolyfill; }
same "pkg-config's version" "$(pkg --modversion)" "$version"
for variable in prefix= libdir=/lib includedir=/include; do
    same "pkg-config's ${variable%%=*}" "$(pkg --variable="${variable%%=*}")" "$prefix${variable#*=}"
done
same "pkg-config's flags" "$(pkg --cflags --libs)" "-I$prefix/include -L$prefix/lib -lepolyfill "
echo "ok: $prefix is complete"
