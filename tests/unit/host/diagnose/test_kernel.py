"""What the kernel's messages mean: lines of kernels 4.19 to 6.12."""

from __future__ import annotations

import pytest

from cartwheel.host.diagnose import kernel


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Out of memory: Killed process 1234 (gunicorn) total-vm:1203456kB, anon-rss:912344kB,"
            " file-rss:0kB, shmem-rss:0kB, UID:998 pgtables:2000kB oom_score_adj:0",
            ("kernel-memory", "gunicorn"),
        ),
        (
            "Memory cgroup out of memory: Killed process 1234 (gunicorn: maste) total-vm:1kB",
            ("kernel-memory", "gunicorn: maste (limit of its unit)"),
        ),
        (
            "Out of memory: Kill process 1234 (mysqld) score 512 or sacrifice child",
            ("kernel-memory", "mysqld"),
        ),
        (
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a,mems_allowed=0,"
            "oom_memcg=/a,task_memcg=/a,task=gunicorn,pid=1234,uid=998",
            None,
        ),
        ("oom_reaper: reaped process 1234 (gunicorn), now anon-rss:0kB, file-rss:0kB", None),
        (
            "blk_update_request: I/O error, dev sda, sector 123456 op 0x0:(READ) flags 0x80700"
            " phys_seg 1 prio class 0",
            ("kernel-disk", "sda"),
        ),
        (
            "I/O error, dev nvme0n1, sector 2048 op 0x1:(WRITE) flags 0x800 phys_seg 1",
            ("kernel-disk", "nvme0n1"),
        ),
        (
            "critical medium error, dev sdb, sector 99 op 0x0:(READ) flags 0x0 phys_seg 1",
            ("kernel-disk", "sdb"),
        ),
        (
            "Buffer I/O error on dev dm-0, logical block 5, lost async page write",
            ("kernel-disk", "dm-0"),
        ),
        (
            "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm nginx: reading"
            " directory lblock 0",
            ("kernel-disk", "sda1"),
        ),
        ("EXT4-fs (sda1): Remounting filesystem read-only", ("kernel-disk", "sda1")),
        (
            "XFS (dm-1): Filesystem has been shut down due to log error (0x2).",
            ("kernel-disk", "dm-1"),
        ),
        (
            "nvme0n1: I/O Cmd(0x2) @ LBA 131209936, 200 blocks, I/O Error (sct 0x3 / sc 0x71)",
            ("kernel-disk", "nvme0n1"),
        ),
        (
            "EXT4-fs warning (device dm-4): ext4_end_bio:343: I/O error 10 writing to inode 1022",
            ("kernel-disk", "dm-4"),
        ),
        ("Aborting journal on device nvme0n1p1-8.", ("kernel-disk", "nvme0n1p1")),
        (
            "sd 0:0:0:0: [sda] tag#11 FAILED Result: hostbyte=DID_BAD_TARGET driverbyte=DRIVER_OK",
            ("kernel-disk", "sda"),
        ),
        ("nvme nvme0: I/O 99 QID 3 timeout, aborting", ("kernel-disk", "nvme nvme0")),
        ("ata1.00: failed command: READ FPDMA QUEUED", ("kernel-disk", "ata1.00")),
        (
            "gunicorn[1234]: segfault at 0 ip 00007f error 4 in libc.so.6[7f+1000]",
            ("kernel-fault", "gunicorn"),
        ),
        (
            "traps: python3[1234] general protection fault ip:7f sp:7f error:0 in x.so[7f+1000]",
            ("kernel-fault", "python3"),
        ),
        ("nf_conntrack: nf_conntrack: table full, dropping packet", ("kernel-network", "")),
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.  Check SNMP"
            " counters.",
            ("kernel-network", ""),
        ),
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:443. Sending cookies.",
            ("kernel-network", ""),
        ),
        ("neighbour: arp_cache: neighbor table overflow!", ("kernel-network", "")),
        (
            "INFO: task jbd2/sda1-8:234 blocked for more than 120 seconds.",
            ("kernel-hung", "jbd2/sda1-8"),
        ),
        (
            "INFO: task gunicorn:1234 blocked for more than 120 seconds.",
            ("kernel-hung", "gunicorn"),
        ),
        (
            "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kworker/1:1:99]",
            ("kernel-hung", ""),
        ),
        # What every boot and every busy host has.
        ("EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.", None),
        ("EXT4-fs (sda1): re-mounted. Opts: errors=remount-ro. Quota mode: none.", None),
        ("EXT4-fs (sda1): re-mounted 6c-1 r/w. Quota mode: none.", None),
        ("XFS (dm-1): Ending clean mount", None),
        ("ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)", None),
        ("nvme nvme0: 4/0/0 default/read/poll queues", None),
        ("sd 0:0:0:0: [sda] Attached SCSI disk", None),
        ("[drm] Initialized bochs-drm 1.0.0", None),
        ('audit: type=1400 audit(1.1:2): apparmor="STATUS"', None),
        ("device eth0 entered promiscuous mode", None),
    ],
)
def test_what_the_kernel_says(text: str, expected: tuple[str, str] | None) -> None:
    assert kernel.kind_of(text) == expected
