#!/usr/bin/env bash
# Headless Chromium: message loops of many threads in several processes, each with an epoll
# descriptor and an eventfd. A page fetches 180 files over several connections, compares each, and
# reports.
. "$(dirname "$0")/lib.sh"
need chromium
serve page kernel "$PYTHON" "$HERE/chromium_page.py"
printed() { [ -s "$WORK/page.out" ] || ! alive page; }
until_true 20 printed || fail "the page is not served"
port=$(head -n 1 "$WORK/page.out")
# Its sandbox requires a user of its own or unprivileged namespaces; the page is ours. Chromium must
# not access the network otherwise.
serve chromium "$WAY" chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --disable-extensions --user-data-dir="$WORK/profile" "http://127.0.0.1:$port/"
reported() { grep -q compared "$WORK/page.out" || ! alive chromium; }
until_true 60 reported || fail "the page does not report"
check_way chromium
said=$(tail -n 1 "$WORK/page.out")
[ "$said" = "180 files compared" ] || fail "the page: $said"
stop chromium
stop page
say "$said"
