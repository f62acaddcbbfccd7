#!/usr/bin/env bash
# The Debian packages, made by debian/rules, in a root with only Debian's essential packages:
# lintian finds no error; dpkg installs them, and refuses if a dependency is missing; a program
# without any knowledge of epolyfill runs on it by the launcher, and by /etc/ld.so.preload with an
# empty environment; third-party projects are built against it and run; and after a purge the root
# is as before, file by file.
#
# The root is made by mmdebstrap, of this system's release, and kept for the next run. The programs
# are built by this system's compilers with the packages' files. dpkg and chroot require root: other
# users skip the test.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
scratch

cd "$repo"
export CARGO_TERM_COLOR=never
dh_clean
# As tests/run builds it, to avoid another build.
PACKAGES_DIR=$scratch SIDE_TARGET_DIR=$CARGO_TARGET_DIR/side \
    SIDE_FLAGS='--config profile.release.lto=false --config profile.release.codegen-units=16' \
    debian/rules binary >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log" >&2; fail "debian/rules binary"; }
triplet=$(gcc -print-multiarch)
packages=(epolyfill libepolyfill-dev libepolyfill-side0 libepolyfill0)
same "the packages" "$(cd "$scratch" && printf '%s\n' ./*.deb | sort)" \
    "$(printf "./%s_${version}_$(dpkg --print-architecture).deb\n" "${packages[@]}" | sort)"
dh_clean
same "lintian's errors" "$(lintian --allow-root --fail-on error --tag-display-limit 0 "$scratch"/*.deb 2>&1 | grep '^E:' || true)" ""

[ "$(id -u)" -eq 0 ] || { echo "skipped: to install a package in a root of its own takes root"; exit 77; }
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
base=$CARGO_TARGET_DIR/tools/root-$release.tar
if [ ! -s "$base" ]; then
    mkdir -p "${base%/*}"
    mmdebstrap --quiet --variant=essential "$release" "$base.part.tar" && mv "$base.part.tar" "$base"
fi

root=$scratch/root
mkdir "$root"
tar -C "$root" -xf "$base"

# in_root COMMAND...: runs in the root, with namespaces of its own, so that /proc belongs to that
# root and no process outlives the command.
in_root() {
    unshare --mount --pid --fork --kill-child -- sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}

# Every file of the root, except logs and dpkg's own backup and statistics: names, modes, owners,
# link targets, and contents.
picture() (
    cd "$root"
    looked_at=(-xdev ! -path './proc/*' ! -path './var/log/*' ! -path './var/lib/dpkg/*-old' ! -path ./var/cache/ldconfig/aux-cache)
    find . "${looked_at[@]}" -printf '%p %M %U:%G %l\n' | sort
    find . "${looked_at[@]}" -type f -exec sha256sum {} + | sort -k 2
)

in_root ldconfig
before=$(picture)

cp "$scratch"/*.deb "$root/tmp"
in_root sh -c 'dpkg -i /tmp/*.deb'
rm "$root"/tmp/*.deb
for package in "${packages[@]}"; do
    same "dpkg's opinion of $package" "$(in_root dpkg-query -W -f='${Status} ${Version}' "$package")" "install ok installed $version"
    same "dpkg --verify $package" "$(in_root dpkg --verify "$package")" ""
done
same "the files" "$(in_root dpkg -L "${packages[@]}" | while read -r file; do [ -d "$root$file" ] || echo "$file"; done | grep -v '^/usr/share/doc/\|^$' | sort)" \
    "$(grep . <<END | sort
/usr/bin/epolyfill
/usr/include/epolyfill.h
/usr/lib/epolyfill/epolyfill-loader
/usr/lib/epolyfill/libepolyfill.so
/usr/lib/epolyfill/libepolyfill-see.so
/usr/lib/$triplet/libepolyfill.so
/usr/lib/$triplet/libepolyfill.so.$major
/usr/lib/$triplet/libepolyfill.so.$version
/usr/lib/$triplet/libepolyfill-side.so
/usr/lib/$triplet/libepolyfill-side.so.$major
/usr/lib/$triplet/libepolyfill-side.so.$version
/usr/lib/$triplet/pkgconfig/epolyfill.pc
/usr/lib/$triplet/pkgconfig/epolyfill-side.pc
/usr/share/cmake/epolyfill/epolyfillConfig.cmake
/usr/share/cmake/epolyfill/epolyfillConfigVersion.cmake
$(for page in man/*.[1-8]; do echo "/usr/share/man/man${page##*.}/${page##*/}.gz"; done)
$(completions /usr vendor-completions)
END
)"
for package in epolyfill libepolyfill0 libepolyfill-side0; do
    [ -f "$root/usr/share/doc/$package/THIRD-PARTY.md.gz" ] || fail "$package has no notices of what is linked in"
done
in_root ldconfig -p | grep -qF "libepolyfill.so.$major (libc6,x86-64) => /" || fail "ldconfig does not know the library"

# Unchanged programs, by the launcher.
mkdir "$root/test"
gcc -O2 -Wall -Wextra -Werror -D_GNU_SOURCE "$here/outside/plain.c" -o "$root/test/plain"
same "without the launcher" "$(in_root /test/plain)" "anon_inode:[eventpoll]"
[[ $(in_root epolyfill --no-kernel-epoll -- /test/plain) == pipe:* ]] || fail "the launcher does not serve a program"
in_root epolyfill --check /test/plain
[[ $(in_root epolyfill --audit-exit=9 -- /test/plain 2>&1) == *"audit: 0 faults, "* ]] || fail "the launcher does not audit a program"

# As docs/packaging.md describes for containers: every program of the root, whatever its
# environment.
echo "/usr/lib/$triplet/libepolyfill.so.$major" >"$root/etc/ld.so.preload"
[[ $(in_root env -i /test/plain) == pipe:* ]] || fail "/etc/ld.so.preload does not serve a program without an environment"
[[ $(in_root setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs env -i /test/plain) == pipe:* ]] ||
    fail "/etc/ld.so.preload does not serve a program without rights"
rm "$root/etc/ld.so.preload"
same "without the file" "$(in_root env -i /test/plain)" "anon_inode:[eventpoll]"

# Third-party projects, by pkg-config and by CMake, with the files of the package and the compilers
# of this system.
pkg() {
    PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 PKG_CONFIG_SYSROOT_DIR=$root \
        PKG_CONFIG_LIBDIR=$root/usr/lib/$triplet/pkgconfig pkg-config "$@"
}
same "pkg-config's versions" "$(pkg --modversion epolyfill epolyfill-side)" "$version"$'\n'"$version"
# shellcheck disable=SC2046 # The flags are words.
gcc -O2 -D_GNU_SOURCE "$here/outside/program.c" -o "$root/test/c" $(pkg --cflags --libs epolyfill) -pthread
cmake -S "$here/outside/cmake" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$root/usr" -DCMAKE_SKIP_RPATH=ON >/dev/null
cmake --build "$scratch/build" >/dev/null
cp "$scratch/build/c" "$root/test/c-by-cmake"
cp "$scratch/build/side" "$root/test/side"
same "the program" "$(in_root /test/c)" "served by /lib/$triplet/libepolyfill.so.$major"
same "the program by CMake" "$(in_root /test/c-by-cmake)" "served by /lib/$triplet/libepolyfill.so.$major"
same "the program beside the kernel's epoll" "$(in_root /test/side)" "served by /lib/$triplet/libepolyfill-side.so.$major"

rm -r "$root/test"
in_root dpkg --purge "${packages[@]}"
same "what is left of the packages" "$(picture)" "$before"
echo "ok: installed, used, purged; nothing is left"
