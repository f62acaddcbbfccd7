"""The machine that a run was measured on, in words for plots and tables."""

import os
import platform
import re
from pathlib import Path


def processor():
    """Returns the model of the processor, and whether it is a virtual machine's."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return (model[1].strip() if model else platform.machine()), bool(re.search(r"^flags\s*:.*\bhypervisor\b", info, re.MULTILINE))


def describe(processors):
    """Describes the machine. Of the kernel's release only the version: the rest is a distributor's."""
    model, virtual = processor()
    count = f"{processors} processor{'s' * (processors != 1)}"
    release = re.match(r"[\d.]+[\d]", platform.release())
    return f"{model}, {count}{' of a virtual machine' * virtual}, Linux {release[0] if release else platform.release()}, {platform.machine()}"


def busy():
    """Returns the number of other tasks that compete for the processors, over the last minute."""
    return os.getloadavg()[0]
