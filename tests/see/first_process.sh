#!/usr/bin/env bash
# first_process.sh LAUNCHER PROGRAM: the launcher as the first process of a container reports all
# that its program did, ends as that did, and passes signals on. Outside of the container it knows
# the program by its number there.
set -euo pipefail
launcher=$1 program=$2

contained() { unshare --pid --fork --kill-child --mount-proc "$@"; }

contained true 2>/dev/null || { echo "skipped: no namespace of processes can be made here"; exit 77; }
code=0
said=$(contained "$launcher" --audit "$program" 2>&1) || code=$?
[ "$code" = 7 ] || { echo "status $code: $said"; exit 1; }
[[ $said == *" fault failing-wait: "* && ${said##*$'\n'} == "audit: 1 fault, "* ]] || { echo "not reported: $said"; exit 1; }
# A child that outlives the program does not keep the container, nor stay a zombie.
said=$(contained "$launcher" --audit sh -c '(sh -c "exit 3" &) ; sleep 0.2; ! grep -l "^State:.Z" /proc/[0-9]*/status' 2>&1)
[[ $said == "audit: 0 faults, "* ]] || { echo "a zombie: $said"; exit 1; }
for procfs in '' --mount-proc; do
    said=$("$launcher" --audit unshare --pid --fork $procfs "$program" 2>&1) || true
    [[ $said == *" fault failing-wait: "* && ${said##*$'\n'} == "audit: 1 fault, "* ]] || { echo "not reported from outside: $said"; exit 1; }
done
echo ok
