#!/usr/bin/env bash
# The uninstall command of docs/installing.md removes all files of ours from a prefix, and no
# others.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
scratch

copy=$scratch/prefix
cp -a "$prefix" "$copy"
mkdir -p "$copy/share/doc"
touch "$copy/lib/libother.so" "$copy/share/man/other" "$copy/include/other.h" 2>/dev/null || true
others=$(cd "$copy" && find . -newer "$prefix/include/epolyfill.h" -name '*other*' | sort)
(
    cd "$scratch"
    eval "$(documented '\(sudo \)\?rm ' | sed "s|/usr/local|$copy|g")"
)
same "after the uninstall" "$(cd "$copy" && find . ! -type d | sort)" "$others"
same "a directory of ours" "$(find "$copy" -name '*epolyfill*')" ""
echo "ok: nothing is left"
