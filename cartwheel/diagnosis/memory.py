"""Processes that were ended because there was no memory."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis import followed, telling
from cartwheel.diagnosis.cause import NAMED, SOON, STOPS, Case, Cause
from cartwheel.diagnosis.units import size_text

OUT_OF_MEMORY = "out-of-memory"

# With less left than this the kernel soon reclaims the pages of running programs, and then kills
# one (Documentation/admin-guide/sysctl/vm.rst: min_free_kbytes is about 1 % of a small host). That
# the host as a whole has little left is in `machine`.
_FULL_PART = 0.97


def causes(case: Case) -> Iterator[Cause]:
    """By the kernel's own word, systemd's, gunicorn's guess, and Python's MemoryError."""
    kernel, units = case.signs("kernel-memory"), case.signs("unit-memory")
    guesses, python = case.signs("worker-memory"), case.signs("memory")
    counted = [one for one in case.found.uses if one.out_of_memory]
    host = case.host
    certain = [*kernel, *units]
    every = [*certain, *guesses, *python]
    if certain or counted:
        victim = kernel[0].about if kernel else units[0].about if units else counted[0].process
        times = telling.count(kernel or units) or sum(one.out_of_memory for one in counted)
        limits = [
            f"{one.process} has used {size_text(one.memory or 0)} of its"
            f" {size_text(one.memory_max)}"
            for one in case.found.uses
            if one.memory_max
        ]
        own = any("limit of its unit" in one.about for one in kernel) or bool(counted)
        todo = (
            "raise hardening.memory_max, or use fewer workers (gunicorn.workers)"
            if own
            else "give the host more memory, or use fewer workers (gunicorn.workers);"
            " gunicorn.max_requests renews workers that grow"
        )
        yield Cause(
            OUT_OF_MEMORY,
            f"there was too little memory: the kernel killed {victim} {telling.times(times)}",
            todo,
            STOPS,
            (*telling.lines(every), *limits, *_machine(case)),
            telling.first(every) if every else None,
            telling.last(every) if every else None,
            followed.APP,
        )
        return
    if guesses:
        processes = ", ".join(sorted({one.about for one in guesses}))
        count = telling.times(telling.count(guesses))
        yield Cause(
            OUT_OF_MEMORY,
            f"a worker of {processes} was killed {count} (SIGKILL), perhaps for lack of memory",
            f"`fab ssh -H {host}`, `dmesg`: whether the kernel killed it; then give it more memory"
            " or use fewer workers (gunicorn.workers)",
            NAMED,
            (*telling.lines([*guesses, *python]), *_machine(case)),
            telling.first(guesses),
            telling.last(guesses),
            followed.APP,
        )
    elif python:
        yield Cause(
            OUT_OF_MEMORY,
            f"the app could not get memory {telling.times(telling.count(python))}",
            "raise hardening.memory_max or give the host more memory; see the place in the code",
            NAMED,
            (*telling.lines(python), *_machine(case)),
            telling.first(python),
            telling.last(python),
            followed.APP,
        )
    else:
        yield from _near(case)


def _near(case: Case) -> Iterator[Cause]:
    for one in case.found.uses:
        if one.memory and one.memory_max and one.memory > _FULL_PART * one.memory_max:
            used, most = size_text(one.memory), size_text(one.memory_max)
            yield Cause(
                OUT_OF_MEMORY,
                f"{one.process} uses {used} of the {most} that it may use",
                "raise hardening.memory_max, or use fewer workers (gunicorn.workers)",
                SOON,
            )


def _machine(case: Case) -> Iterator[str]:
    machine = case.found.machine
    if machine:
        left, all_of_it = size_text(machine.memory_available), size_text(machine.memory)
        yield f"the host now has {left} of {all_of_it} memory left, swap: {_swap(case)}"


def _swap(case: Case) -> str:
    machine = case.found.machine
    if machine is None or not machine.swap:
        return "none"
    return f"{size_text(machine.swap_free)} of {size_text(machine.swap)} left"
