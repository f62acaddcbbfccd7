#!/usr/bin/env python3
"""Opens the page of `epolyfill --report` in headless Chromium.

  page.py LAUNCHER PROGRAM RULE

PROGRAM has a fault of RULE. The page must show it in its first screen, also on a phone; it must not
be wider than the screen, its scripts must run without an error, and its tables must be there
without scripts.
"""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

LIMIT = 100
FIRST = "<script>var errors = []; addEventListener('error', event => errors.push(event.message))</script>"
LAST = """<script>
const cells = () => [...document.querySelectorAll('table.sortable td')].map(cell => cell.textContent).sort();
const before = cells();
document.querySelectorAll('table.sortable th button').forEach(button => button.click());
const verdict = document.querySelector('h1');
document.body.dataset.seen = JSON.stringify({
    errors,
    width: [document.documentElement.scrollWidth, innerWidth],
    verdict: verdict.textContent,
    bottom: [verdict.getBoundingClientRect().bottom, innerHeight],
    buttons: document.querySelectorAll('table.sortable th button').length,
    kept: JSON.stringify(before) === JSON.stringify(cells()) && before.length > 0,
    sorted: document.querySelectorAll('th[aria-sort]').length,
});
</script>"""


def dom(page, profile, width):
    """The page after its scripts have run."""
    chromium = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-extensions", f"--user-data-dir={profile}", f"--window-size={width},900", "--dump-dom", f"file://{page}",
    ]
    done = subprocess.run(chromium, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        sys.exit(f"chromium ended with {done.returncode}: {done.stderr}")
    return done.stdout


def probed(page, directory):
    """The page with the scripts of this test before and after its own."""
    with open(page) as text:
        text = text.read()
    copy = os.path.join(directory, "probed.html")
    with open(copy, "w") as out:
        out.write(text.replace("<head>", "<head>" + FIRST, 1).replace("</body>", LAST + "</body>", 1))
    return copy


def check(condition, why, seen):
    if not condition:
        sys.exit(f"{why}\n{seen}")


def main():
    launcher, program, rule = sys.argv[1:]
    if not shutil.which("chromium"):
        sys.exit("chromium is missing (tests/run installs it)")
    with tempfile.TemporaryDirectory() as directory:
        page = os.path.join(directory, "page.html")
        profile = os.path.join(directory, "profile")
        subprocess.run([launcher, f"--report={page}", "-o", "/dev/null", "--audit-exit=42", program],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=LIMIT, check=False)
        copy = probed(page, directory)
        for width in (1200, 500):
            text = dom(copy, profile, width)
            found = re.search(r'data-seen="([^"]*)"', text)
            check(found, "the scripts of the page did not run", text[-500:])
            seen = json.loads(html.unescape(found.group(1)))
            check(seen["errors"] == [], "a script failed", seen)
            check(seen["width"][0] <= seen["width"][1], "the page is wider than the screen", seen)
            check(seen["verdict"].lstrip("\N{HEAVY MULTIPLICATION X} ").startswith("1 fault"), "no verdict", seen)
            check(seen["bottom"][0] <= seen["bottom"][1], "the verdict is not in the first screen", seen)
            check(seen["buttons"] > 0 and seen["sorted"] > 0 and seen["kept"], "a table does not sort", seen)
        with open(page) as text:
            plain = text.read()
        check(rule in plain and plain.count("<tr") > 5, "without scripts something is missing", plain[-500:])
        check(not re.search(r"(src|href)=[\"'](?!#|data:)", plain), "the page loads something", plain[:500])


main()
