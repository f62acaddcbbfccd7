#!/usr/bin/env bash
# The Debian package, as README.md has it made, in a root of nothing but Debian's essential packages: installed by dpkg, which refuses if a
# dependency is missing there; a program that knows nothing of epolyfill runs on it by the launcher, projects of others are built against it and
# run; and when it is purged the root is as before, file by file.
#
# The root is mmdebstrap's, of the release that this system is, and kept for the next run. The programs are built by this system's compilers
# with the package's files. It takes root, for dpkg and chroot: others skip it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$repo"
export CARGO_TERM_COLOR=never
deb=$(eval "$(readme 'cargo deb ' | sed 's/#.*//')" | tail -n 1)
[ -f "$deb" ] || fail "cargo deb names no package: $deb"

[ "$(id -u)" -eq 0 ] || { echo "skipped: to install a package in a root of its own takes root"; exit 77; }
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
base=$CARGO_TARGET_DIR/tools/root-$release.tar
if [ ! -s "$base" ]; then
    mkdir -p "${base%/*}"
    mmdebstrap --quiet --variant=essential "$release" "$base.part.tar" && mv "$base.part.tar" "$base"
fi

scratch
root=$scratch/root
mkdir "$root"
tar -C "$root" -xf "$base"

# in_root COMMAND...: in the root, with namespaces of its own, so that /proc is that root's and nothing that it starts outlives it.
in_root() {
    unshare --mount --pid --fork --kill-child -- sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}

# Every file of the root, but for logs and dpkg's own backup and statistics: names, modes, owners, where links lead, and contents.
picture() (
    cd "$root"
    looked_at=(-xdev ! -path './proc/*' ! -path './var/log/*' ! -path './var/lib/dpkg/*-old' ! -path ./var/cache/ldconfig/aux-cache)
    find . "${looked_at[@]}" -printf '%p %M %U:%G %l\n' | sort
    find . "${looked_at[@]}" -type f -exec sha256sum {} + | sort -k 2
)

in_root ldconfig
before=$(picture)

cp "$deb" "$root/tmp/epolyfill.deb"
in_root dpkg -i /tmp/epolyfill.deb
rm "$root/tmp/epolyfill.deb"
same "dpkg's opinion" "$(in_root dpkg-query -W -f='${Status} ${Version}' epolyfill)" "install ok installed $version-1"
same "dpkg --verify" "$(in_root dpkg --verify epolyfill)" ""
same "the files" "$(in_root dpkg -L epolyfill | while read -r file; do [ -d "$root$file" ] || echo "$file"; done | sort)" "$(sort <<END
/usr/bin/epolyfill
/usr/include/epolyfill.h
/usr/lib/libepolyfill.so
/usr/lib/libepolyfill.so.$major
/usr/lib/libepolyfill.so.$version
/usr/lib/pkgconfig/epolyfill.pc
/usr/share/cmake/epolyfill/epolyfillConfig.cmake
/usr/share/cmake/epolyfill/epolyfillConfigVersion.cmake
/usr/share/doc/epolyfill/README.md
/usr/share/doc/epolyfill/changelog.gz
/usr/share/doc/epolyfill/copyright
/usr/share/doc/epolyfill/differences.md
$(for page in man/*.[1-8]; do echo "/usr/share/man/man${page##*.}/${page##*/}.gz"; done)
END
)"
in_root ldconfig -p | grep -qF "libepolyfill.so.$major (libc6,x86-64) => /" || fail "ldconfig does not know the library"

# Unchanged programs, by the launcher.
mkdir "$root/test"
gcc -O2 -Wall -Wextra -Werror -D_GNU_SOURCE "$here/outside/plain.c" -o "$root/test/plain"
same "without the launcher" "$(in_root /test/plain)" "anon_inode:[eventpoll]"
[[ $(in_root epolyfill --no-kernel-epoll -- /test/plain) == pipe:* ]] || fail "the launcher does not serve a program"
in_root epolyfill --check /test/plain

# Projects of others, by pkg-config and by CMake, with the files of the package and the compilers of this system.
pkg() {
    PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 PKG_CONFIG_SYSROOT_DIR=$root \
        PKG_CONFIG_LIBDIR=$root/usr/lib/pkgconfig pkg-config "$@" epolyfill
}
same "pkg-config's version" "$(pkg --modversion)" "$version"
# shellcheck disable=SC2046 # The flags are words.
gcc -O2 -D_GNU_SOURCE "$here/outside/program.c" -o "$root/test/c" $(pkg --cflags --libs) -pthread
cmake -S "$here/outside/cmake" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$root/usr" -DCMAKE_SKIP_RPATH=ON >/dev/null
cmake --build "$scratch/build" >/dev/null
cp "$scratch/build/c" "$root/test/c-by-cmake"
same "the program" "$(in_root /test/c)" "served by /lib/libepolyfill.so.$major"
same "the program by CMake" "$(in_root /test/c-by-cmake)" "served by /lib/libepolyfill.so.$major"

rm -r "$root/test"
in_root dpkg --purge epolyfill
same "what is left of the package" "$(picture)" "$before"
echo "ok: $(basename "$deb"): installed, used, purged; nothing is left"
