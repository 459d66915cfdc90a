"""How long `fab diagnose` takes on a host with an access log of 1 GB and a journal of 500 MB.

The shop really logs all of the journal within minutes, so a flood is found; and the access log has
grown by 1 GB since the host was made, so the disk may be said to be full soon.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.diagnosed.site import Site, new_site
from cartwheel_lab import Lab

ROUNDS = 5
_LOG_BYTES = 1 << 30
_JOURNAL_BYTES = 500 << 20
_MINUTES = 60.0
_SPANS = (("two hours", 2 * 3600.0), ("ten days", 240 * 3600.0))

# Copies the lines of a real log, with other times: `at=` and the date are what is read of them.
_LOG = """
import datetime, random, re, sys, time
size, span = int(sys.argv[1]), float(sys.argv[2])
real = [line for line in open("/var/log/nginx/shop.access.log") if " time=" in line]
pieces = [re.split(r"\\[[^]]*\\]|at=[0-9.]+", line) for line in real]
average = sum(map(len, real)) / len(real)
count = int(size / average)
now = time.time()
with open("/var/log/nginx/shop.access.log", "a") as file:
    for number in range(count):
        at = now - span * (1 - number / count)
        head, middle, tail = pieces[random.randrange(len(pieces))]
        when = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at))
        file.write(f"{head}[{when}]{middle}at={at:.3f}{tail}")
"""

# Runs in the cgroup of the instance of web, so journald notes its lines as those of the shop.
_JOURNAL = """
import os, socket, sys
wanted = int(sys.argv[1])
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
def size():
    return sum(os.stat(os.path.join(at, name)).st_blocks * 512
               for at, _, names in os.walk("/var/log/journal") for name in names)
number = 0
while size() < wanted:
    for _ in range(5000):
        number += 1
        words = f"INFO shop: order {number} of customer {number * 7919 % 100003} was " + "paid " * 8
        journal.send(f"PRIORITY=6\\nSYSLOG_IDENTIFIER=cartwheel-shop\\nMESSAGE={words}\\n".encode())
"""
_NO_LIMIT = """
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\\nRateLimitBurst=0\\n' >/etc/systemd/journald.conf.d/bench.conf
systemctl restart systemd-journald
"""


def measure(lab: Lab, folder: Path, limit_seconds: float) -> int:
    """Print the seconds; 1 if a median exceeds the limit."""
    site = new_site(lab, folder, disk_mb=0)
    with site.visited() as visits:
        site.host.sh("sleep 5")
    assert visits.result["sent"]
    worst = 0.0
    for what, seconds in _prepared(site):
        print(f"{what}: {', '.join(f'{one:.2f}' for one in seconds)}", flush=True)
        worst = max(worst, statistics.median(seconds))
    print(f"worst median: {worst:.2f} s (limit {limit_seconds:.0f})")
    return 1 if worst > limit_seconds else 0


def _prepared(site: Site) -> Iterator[tuple[str, list[float]]]:
    yield "small logs", _rounds(site)
    site.host.path("/root/journal.py").write_text(_JOURNAL)
    site.host.path("/root/log.py").write_text(_LOG)
    site.sh(
        _NO_LIMIT
        + "echo $$ >/sys/fs/cgroup/system.slice/$web/cgroup.procs 2>/dev/null"
        + " || echo $$ >$(find /sys/fs/cgroup -type d -name $web | head -1)/cgroup.procs\n"
        + f"python3 /root/journal.py {_JOURNAL_BYTES}",
        _MINUTES * 10,
    )
    yield f"journal {_sizes(site)[1]} MB", _rounds(site)
    kept = site.host.path("/var/log/nginx/shop.access.log").read_bytes()
    for span, seconds in _SPANS:
        site.host.path("/var/log/nginx/shop.access.log").write_bytes(kept)
        site.sh(f"python3 /root/log.py {_LOG_BYTES} {seconds}", _MINUTES * 10)
        log, journal = _sizes(site)
        yield f"access log {log} MB over {span}, journal {journal} MB", _rounds(site)


def _sizes(site: Site) -> list[str]:
    return site.sh(
        "du -m /var/log/nginx/shop.access.log | cut -f1; du -sm /var/log/journal | cut -f1"
    ).split()


def _rounds(site: Site) -> list[float]:
    found = []
    for _ in range(ROUNDS):
        answer = site.diagnose()
        found.append(answer.seconds)
        print("  unread:", answer.evidence.get("unread"), "found:", answer.slugs, flush=True)
    return found
