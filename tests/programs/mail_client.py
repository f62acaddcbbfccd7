#!/usr/bin/env python3
"""Mail, for the tests of dovecot and postfix. Every message has an id, which determines its body.

  mail_client.py deliver lmtp|smtp PORT COUNT    over eight connections, with a reply to each message
  mail_client.py fetch PORT LMTP_PORT COUNT      by IMAP: every message is there once, and intact;
                                                 a session in IDLE is notified of another one,
                                                 which is delivered by LMTP
  mail_client.py maildir DIRECTORY COUNT         every message is in the directory once, and intact
"""

import hashlib
import imaplib
import os
import re
import smtplib
import sys
import threading
import time

BOUND = 20  # seconds for any one answer
CONNECTIONS = 8
USER = "user@example.test"


def body(number):
    """Up to some 60 KB, so that it takes several reads."""
    line = hashlib.sha256(str(number).encode()).hexdigest()
    return "\r\n".join([line] * (1 + number * 37 % 900)) + "\r\n"


def message(number):
    return f"From: {USER}\r\nTo: {USER}\r\nSubject: message {number}\r\nX-Number: {number}\r\n\r\n{body(number)}"


def together(work):
    failures = []

    def run(index):
        try:
            work(index)
        except Exception as error:  # Reported below, whatever it is.
            failures.append(f"connection {index}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(index,)) for index in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("\n".join(failures))


def deliver(protocol, port, numbers):
    numbers = list(numbers)
    kind = smtplib.LMTP if protocol == "lmtp" else smtplib.SMTP

    def work(index):
        with kind("127.0.0.1", port, local_hostname="localhost", timeout=BOUND) as session:
            for number in numbers[index::CONNECTIONS]:
                refused = session.sendmail(USER, [USER], message(number))
                assert not refused, refused

    together(work)


def check(texts, count):
    seen = set()
    for text in texts:
        head, _, rest = text.replace("\r\n", "\n").partition("\n\n")
        number = int(re.search(r"^X-Number: (\d+)$", head, re.M)[1])
        assert number not in seen, f"message {number} is there twice"
        assert rest.rstrip("\n") == body(number).replace("\r\n", "\n").rstrip("\n"), f"message {number} is another one"
        seen.add(number)
    missing = sorted(set(range(count)) - seen)
    assert not missing and len(seen) == count, f"{len(seen)} messages of {count}; missing: {missing}"


def session(port):
    imap = imaplib.IMAP4("127.0.0.1", port, timeout=BOUND)
    imap.login(USER, "secret")
    imap.select("INBOX")
    return imap


def fetch(port, count):
    def work(_):
        imap = session(port)
        _, found = imap.fetch("1:*", "(RFC822)")
        check([part[1].decode() for part in found if isinstance(part, tuple)], count)
        imap.logout()

    together(work)


def idle(port, deliver_one):
    """Commands that imaplib does not support yet."""
    imap = session(port)
    imap.send(b"x IDLE\r\n")
    assert imap.readline().startswith(b"+"), "no IDLE"
    deliver_one()
    while b"EXISTS" not in (line := imap.readline()):
        assert line.startswith(b"*"), line
    imap.send(b"DONE\r\n")
    while not (line := imap.readline()).startswith(b"x OK"):
        assert line.startswith(b"*"), line
    imap.logout()


def maildir(directory, count):
    end = time.monotonic() + 3 * BOUND
    new = os.path.join(directory, "new")

    def names():
        return os.listdir(new) if os.path.isdir(new) else []

    while len(names()) < count and time.monotonic() < end:
        time.sleep(0.05)
    check([open(os.path.join(new, name), newline="").read() for name in names()], count)


def main():
    mode, *rest = sys.argv[1:]
    if mode == "deliver":
        deliver(rest[0], int(rest[1]), range(int(rest[2])))
    elif mode == "fetch":
        imap_port, lmtp_port, count = map(int, rest)
        fetch(imap_port, count)
        idle(imap_port, lambda: deliver("lmtp", lmtp_port, [count]))
        fetch(imap_port, count + 1)
    else:
        maildir(rest[0], int(rest[1]))


main()
