"""What the kernel wrote into the journal.

Kinds of its signs: `kernel-memory` (about the program that it ended), `kernel-disk` (the device),
`kernel-fault` (the program that crashed), `kernel-network`, `kernel-hung` (the program that waits).
"""

from __future__ import annotations

import re
from typing import Optional, Tuple

from cartwheel.host.diagnose import journal_entries
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.diagnose.tally import Tally
from cartwheel.host.system.context import Context

_MOST_ENTRIES, _SECONDS = 6000, 2.0

# The first that fits; group `about` names what it is about. Kernels 4.19 to 6.12.
_KINDS: "Tuple[Tuple[str, re.Pattern[str]], ...]" = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (
            "kernel-memory",
            r"(?P<group>Memory cgroup out of memory|Out of memory)"
            r"(?: \(oom_kill_allocating_task\))?"
            r": Kill(?:ed)? process \d+ \((?P<about>.+?)\)(?:,? |$)",
        ),
        ("kernel-memory", r"^(?P<about>\S+): page allocation failure"),
        (
            "kernel-disk",
            r"(?:blk_update_request: )?(?:critical (?:medium|target|space allocation) error"
            r"|I/O error|protection error|critical nexus error),? dev (?P<about>[\w-]+)",
        ),
        ("kernel-disk", r"Buffer I/O error on (?:dev|device) (?P<about>[\w-]+)"),
        (
            "kernel-disk",
            r"(?:EXT[234]-fs|BTRFS|XFS|F2FS-fs)(?: (?:error|critical|warning|metadata I/O error))?"
            r" ?\((?:device )?(?P<about>[\w-]+)\)?:? .*(?:error(?!s)|corrupt|Remounting"
            r"|forced readonly|[Ss]hut(?:ting)? ?down|Aborting)",
        ),
        ("kernel-disk", r"EXT[234]-fs error \(device (?P<about>[\w-]+)\)"),
        ("kernel-disk", r"Aborting journal on device (?P<about>\w+)"),
        (
            "kernel-disk",
            r"^(?P<about>nvme\d+(?:n\d+)?|nvme nvme\d+|ata\d+(?:\.\d+)?): "
            r".*(?:timeout|[Ee]rror|exception|frozen|reset|failed command"
            r"|Device not ready|hard resetting)",
        ),
        ("kernel-disk", r"\[(?P<about>sd[a-z]+)\] .*(?:Medium Error|FAILED Result|Sense Key)"),
        (
            "kernel-fault",
            r"^(?P<about>[^\[\]]+)\[\d+\]: segfault at|traps: (?P<trap>[^\[\]]+)\[\d+\]"
            r" (?:general protection|trap |divide error)",
        ),
        (
            "kernel-network",
            r"nf_conntrack: (?:nf_conntrack: )?table full|Possible SYN flooding"
            r"|[Nn]eighbou?r:? (?:\w+: )?(?:neighbor )?table overflow"
            r"|neigh(?:bour)?.*table overflow|TCP: out of memory|TCP: too many orphaned sockets"
            r"|NETDEV WATCHDOG",
        ),
        ("kernel-hung", r"task (?P<about>\S+?):\d+ blocked for more than \d+ seconds"),
        ("kernel-hung", r"(?:soft|hard) lockup - CPU#\d+ stuck|NMI watchdog: .*LOCKUP"),
        ("kernel-hung", r"rcu: INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls?"),
    )
)


def look(ctx: Context, window: Window) -> Found:
    """The kernel's messages of that time."""
    read = journal_entries.read(window, ["_TRANSPORT=kernel"], _MOST_ENTRIES, _SECONDS)
    tally = Tally()
    for entry in read.entries:
        known = kind_of(entry.text)
        if known:
            tally.add(known[0], known[1], entry.at, [entry.text])
    if read.cut is None:
        return Found(signs=tally.signs())
    ago = window.until - read.cut
    unread = f"the kernel's messages older than {ago:.0f} s: there are too many"
    return Found(signs=tally.signs(), unread=(unread,))


def kind_of(text: str) -> Optional[Tuple[str, str]]:
    """What a message of the kernel says is wrong, and about what; None if nothing is."""
    for kind, pattern in _KINDS:
        found = pattern.search(text)
        if found:
            groups = found.groupdict()
            about = (groups.get("about") or groups.get("trap") or "").strip()
            is_limit = (groups.get("group") or "").startswith("Memory cgroup")
            return kind, f"{about} (limit of its unit)" if is_limit else about
    return None
