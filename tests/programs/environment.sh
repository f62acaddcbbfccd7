#!/usr/bin/env bash
# Programs that start others with an environment that they build. Each starts a probe, which waits
# for an event and prints whose epoll reported it.
. "$(dirname "$0")/lib.sh"
need env setpriv bash perl start-stop-daemon script
public_library

case $WAY in
kernel) expected="the kernel's" ;;
*) expected="the library's" ;;
esac

cat >"$WORK/probe" <<PROBE
#!$PYTHON -I
import os, select
epoll = select.epoll()
read, write = os.pipe()
epoll.register(read, select.EPOLLIN | select.EPOLLET)
os.write(write, b"x")
assert epoll.poll(5) == [(read, select.EPOLLIN)]
kernels = "eventpoll" in os.readlink(f"/proc/self/fd/{epoll.fileno()}")
print("the kernel's" if kernels else "the library's", flush=True)
PROBE
chmod 755 "$WORK/probe"

count=0
# probe WHAT COMMAND…: the command has started the probe.
probe() {
    local what=$1 said
    shift
    said=$(run "$WAY" timeout 20 "$@" 2>"$WORK/probe.err" | tr -d '\r') || fail "$what: status $?: $(cat "$WORK/probe.err")"
    [ "$said" = "$expected" ] || fail "$what: the probe ran on '$said', not on $expected epoll: $(cat "$WORK/probe.err")"
    [ ! -s "$WORK/probe.err" ] || fail "$what: $(cat "$WORK/probe.err")"
    count=$((count + 1))
}

probe "env -i" env -i "$WORK/probe"
probe "env -i, twice" env -i env -i "$WORK/probe"
probe "env -u" env -u LD_PRELOAD "$WORK/probe"
probe "LD_PRELOAD of its own" env LD_PRELOAD=libm.so.6 "$WORK/probe"
probe "sh -c" env -i sh -c "env -i $WORK/probe"
probe "bash, exec -c" bash -c "exec -c $WORK/probe"
probe "setpriv" setpriv --reset-env "$WORK/probe"
probe "perl, exec" perl -e '%ENV = (); exec @ARGV' "$WORK/probe"
probe "perl, system" perl -e '%ENV = (); exit system "@ARGV; true"' "$WORK/probe"
probe "perl, pipe" perl -e '%ENV = (); open my $f, "-|", "@ARGV"; print <$f>' "$WORK/probe"
probe "start-stop-daemon" env -i "$(command -v start-stop-daemon)" --start --exec "$WORK/probe"
probe "script" script -qec "env -i $WORK/probe" /dev/null
probe "execve" "$PYTHON" -c 'import os, sys; os.execve(sys.argv[1], sys.argv[1:], {})' "$WORK/probe"
probe "posix_spawn" "$PYTHON" -c 'import os, sys
os.waitpid(os.posix_spawn(sys.argv[1], sys.argv[1:], {}), 0)' "$WORK/probe"
probe "subprocess" "$PYTHON" -c 'import subprocess, sys; subprocess.run(sys.argv[1:], env={}, check=True)' "$WORK/probe"
probe "clearenv, system" "$PYTHON" -c 'import ctypes, sys
libc = ctypes.CDLL(None)
libc.clearenv()
sys.exit(libc.system(sys.argv[1].encode()))' "$WORK/probe"
if [ "$(id -u)" -eq 0 ]; then
    probe "su" su -s /bin/sh -c "$WORK/probe" nobody
    probe "runuser -l" runuser -s /bin/sh -c "$WORK/probe" nobody
    probe "chroot" chroot / env -i "$WORK/probe"
fi
say "$count programs started the probe, which had $expected epoll"
