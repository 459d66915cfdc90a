"""From when on something is wrong: numbers, each with the reason for its default."""

from __future__ import annotations

from dataclasses import dataclass

_GIB = 1 << 30
_DAY = 86400.0


@dataclass(frozen=True)
class Limits:
    """What `[monitor]` may set. Shares are of 1, times in seconds unless a name says otherwise.

    What is wrong already counts as over only a little on the good side of its limit (`margin`), so
    that what hovers at a limit is told once.
    """

    margin: float = 0.2

    # Half of what a deploy's watch period bears (deploy.max_error_percent), because nobody waits
    # for this. Of fewer than 50 requests a share says little; fewer than 10 failed ones may be a
    # crawler that meets one broken page (of 30 made-up days, 5 of 91 requests on one).
    errors_share: float = 0.05
    errors_requests: int = 50
    errors_failed: int = 10
    # Long enough for 50 requests of a small site, short enough to be told within 5 minutes.
    window_seconds: float = 180.0
    # How much above the usual share is "clearly": twice, and four standard deviations of what
    # chance does with so few requests. A fleet of 40 hosts is judged 170,000 times a day.
    errors_times: float = 2.0
    deviations: float = 4.0

    # Below a second nobody complains. Three times the usual of this hour: one interval of the
    # histogram (look.BOUNDS) is a factor of 1.3 to 2, so two intervals are no accident.
    slow_seconds: float = 1.0
    slow_times: float = 3.0
    slow_requests: int = 50

    # Our units are started again after 60 s at most: who crashes at once has 10 starts in 10
    # minutes, and still 3 where each start takes 2 minutes. One crash is not worth a message.
    restarts: int = 3
    restart_seconds: float = 600.0
    # Between two starts systemd waits as long at most (RestartMaxDelaySec in our units).
    start_seconds: float = 60.0

    # MemAvailable counts what the kernel can free without swapping. What is left then is what the
    # programs' own code and the next requests need; below it the kernel ends a process.
    memory_share: float = 0.05

    # ext4 keeps 5 % for root; below, file systems become slow. Of a large disk 5 % is still much
    # room: there the bytes count.
    disk_share: float = 0.05
    disk_bytes: int = 20 * _GIB
    inodes_share: float = 0.05
    disk_hours: float = 24.0

    # A certificate of 90 days is due for renewal with 30 left: 14 days are many failed attempts.
    # Of a short-lived one (6 days) it is a fifth of its life.
    certificate_seconds: float = 14 * _DAY
    certificate_share: float = 0.2

    # systemd may start a timer a minute late by itself (AccuracySec).
    timer_late_seconds: float = 300.0

    # Hosts are often deployed one after the other by hand.
    behind_seconds: float = 600.0
    # A look that is older says nothing about now.
    stale_seconds: float = 300.0

    # A login token (TOTP) bears 30 to 60 s; a clock without NTP is a minute off after a month.
    clock_seconds: float = 60.0


DEFAULTS = Limits()
