# Shared by the tests of the installation. Each takes from the environment what CMake set:
#
#   EPOLYFILL_ROOM       a directory that only these tests empty
#   CARGO_TARGET_DIR     where cargo builds, and tests/install/tools puts cargo-c
set -euo pipefail
export LC_ALL=C
unset LD_PRELOAD LD_LIBRARY_PATH PKG_CONFIG_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR CMAKE_PREFIX_PATH EPOLYFILL_LIBRARY

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$repo/target}
room=${EPOLYFILL_ROOM:-$CARGO_TARGET_DIR/install-tests}
# This is not a setting of the library, which would report it.
export -n EPOLYFILL_ROOM
mkdir -p "$room"
prefix=$room/prefix
PATH=$CARGO_TARGET_DIR/tools/bin:$PATH:${HOME:-}/.cargo/bin
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repo/Cargo.toml" | head -n 1)
major=${version%%.*}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# same WHAT LEFT RIGHT: the two lists are equal, or the difference is shown.
same() {
    [ "$2" = "$3" ] || {
        diff <(echo "$3") <(echo "$2") >&2 || true
        fail "$1: < as it should be, > as it is"
    }
}

# The commands of docs/installing.md under a prefix: the lines of its code blocks that begin with a
# given word.
documented() {
    sed -n '/^## Under a prefix/,/^## /{/^```sh/,/^```$/p}' "$repo/docs/installing.md" | grep "^$1" || fail "docs/installing.md has no command that begins with: $1"
}

# served PROGRAM FILE: the program runs, and its epoll functions are in the file.
served() {
    local said
    said=$("$1") || fail "$1 failed"
    [ "${said#served by }" -ef "$2" ] || fail "$1 is not served by $2: $said"
    echo "ok: $1: $said"
}

# completions PREFIX ZSH: the paths of the completions of the launcher's options under a prefix.
completions() {
    printf '%s\n' "$1/share/bash-completion/completions/epolyfill" "$1/share/zsh/$2/_epolyfill" \
        "$1/share/fish/vendor_completions.d/epolyfill.fish"
}

# A directory for this test, removed at the end.
scratch() {
    scratch=$(mktemp -d "$room/scratch.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
}
