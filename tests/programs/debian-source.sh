# Source packages of Debian, for test programs that the binary packages lack; sourced after lib.sh.

# debian_source PACKAGE: leaves in SOURCE a directory with its unpacked source, fetched by apt once
# and kept in the build directory. The archives come from apt's configured binary sources; the
# configuration of the machine is not changed.
debian_source() {
    local package=$1 apt=$BUILD/apt
    need apt-get dpkg-source
    SOURCE=$BUILD/source
    [ ! -f "$SOURCE/.whole" ] || return 0
    rm -rf "$SOURCE" "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    # The release itself first: a package that is in several archives comes from the first.
    archives() {
        apt-get "$@" indextargets --format 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) main' \
            'Created-By: Packages' 'Origin: Debian' | sort -u -k 4
    }
    archives >"$apt/sources.list"
    if [ ! -s "$apt/sources.list" ]; then
        timeout 180 apt-get -q -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" update >"$apt/out" 2>&1 || true
        archives -o Dir::State::lists="$apt/lists" >"$apt/sources.list"
    fi
    [ -s "$apt/sources.list" ] || fail "apt has no Debian archive with the source of $package"
    local private=(-q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$apt/lists"
        -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=)
    watch_log "$apt/out"
    timeout 180 apt-get "${private[@]}" update >>"$apt/out" 2>&1 || fail "apt cannot read the list of source packages"
    (cd "$apt" && timeout 180 apt-get "${private[@]}" source --download-only "$package" >>"$apt/out" 2>&1) ||
        fail "apt cannot fetch the source of $package"
    # With Debian's patches, some of which change the tests.
    dpkg-source --no-check -x "$apt"/*.dsc "$SOURCE" >>"$apt/out" 2>&1 || fail "the source of $package does not unpack"
    touch "$SOURCE/.whole"
}

# compile OBJECTS-DIRECTORY FLAGS… -- FILES…: skips files that are compiled already.
compile() {
    local out=$1 flags=() file
    shift
    mkdir -p "$out"
    while [ "$1" != -- ]; do
        flags+=("$1")
        shift
    done
    shift
    for file; do
        [ -s "$out/$(basename "$file" .c).o" ] || printf '%s\n' "$file"
    done | xargs -r -P "$(nproc)" -n 1 sh -c 'out=$1/$(basename "$3" .c).o; gcc -w -O1 $2 -c "$3" -o "$out.new" && mv "$out.new" "$out"' \
        compile "$out" "${flags[*]}" 2>"$WORK/gcc.out" || fail "the tests do not compile: $(head -n 5 "$WORK/gcc.out")"
}

BUILD=${CARGO_TARGET_DIR:-$HERE/../../target}/$NAME
mkdir -p "$BUILD"
BUILD=$(cd "$BUILD" && pwd)
