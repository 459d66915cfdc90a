"""Memory, CPUs, disks and open files of the whole host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.diagnosis import followed
from cartwheel.diagnosis.cause import GUESSED, SYMPTOM, Case, Cause
from cartwheel.diagnosis.units import size_text

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Machine

# Linux begins to evict the code of running programs at a few percent; a host that is meant to use
# its memory stays above.
_FEW_MEMORY = 0.04
_FEW_SWAP = 0.1
# systemd-oomd acts where tasks wait 60 % of 30 s; programs are slow long before.
_MEMORY_WAITS = 0.1
# A busy host computes all the time: only many times more tasks than CPUs are too many.
_LOAD_PER_CPU = 8.0
_CPU_WAITS = 0.8
# All tasks wait for the disk for more than half of the time: backups and updates stay below.
_DISK_WAITS = 0.5
_FILES_PART = 0.95


def causes(case: Case) -> Iterator[Cause]:
    """What all programs of the host suffer from."""
    machine = case.found.machine
    if machine is None:
        return
    yield from _memory(case, machine)
    yield from _cpu(case, machine)
    if machine.waiting is not None and machine.waiting > _DISK_WAITS:
        yield Cause(
            "disk-waits",
            f"the disk is too slow: everything waited for it in {machine.waiting:.0%} of the last"
            " minute",
            f"`iotop -obn 3` on {case.host} shows who reads or writes so much",
            GUESSED,
            explains=followed.SLOW | {"service-slow"},
        )
    if machine.files_max and machine.files > machine.files_max * _FILES_PART:
        yield Cause(
            "files-limit",
            f"the host has {machine.files} files open and allows {machine.files_max} (fs.file-max)",
            f"find out which process has so many (`lsof` on {case.host}), or raise fs.file-max",
            GUESSED,
            explains=followed.APP,
        )


def _memory(case: Case, machine: Machine) -> Iterator[Cause]:
    if not machine.memory:
        return
    is_low = machine.memory_available < machine.memory * _FEW_MEMORY
    waits = machine.memory_waiting or 0.0
    no_swap = machine.swap_free < machine.swap * _FEW_SWAP or not machine.swap
    if not ((is_low and no_swap) or waits > _MEMORY_WAITS):
        return
    swap = f"; {size_text(machine.swap_free)} of {size_text(machine.swap)} swap left"
    yield Cause(
        "memory-low",
        f"memory is nearly used up: {size_text(machine.memory_available)} of"
        f" {size_text(machine.memory)} available{swap if machine.swap else ''}",
        f"`fab ps -H {case.host}` shows what the app uses; run fewer workers, or add memory",
        GUESSED,
        (f"all tasks waited for memory in {waits:.0%} of the last minute",) if waits else (),
        explains=followed.SLOW | {"out-of-memory", "worker-died", "restarts", "process-ill"},
    )


def _cpu(case: Case, machine: Machine) -> Iterator[Cause]:
    waits = machine.cpu_waiting
    if machine.load < machine.cpus * _LOAD_PER_CPU or waits is None or waits < _CPU_WAITS:
        return
    yield Cause(
        "overloaded",
        f"the host is overloaded: {machine.load:.0f} tasks want to run on {machine.cpus} CPUs",
        f"`fab ps -H {case.host}` and `top` on {case.host} show what computes so much",
        SYMPTOM,
        (f"tasks waited for a CPU in {waits:.0%} of the last minute",),
        explains=followed.SLOW,
    )
