"""Find the cause of what is wrong on hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(
    quiet=True,
    help={
        "since": "Look at what happened from this time on: 15m, 2h (default), 1d, 14:30.",
        "out": "Also write all evidence and the logs to this .tar.gz, to send on; secrets are"
        " masked.",
    },
)
def diagnose(scene: Scene, out: Output, since: str = "2h", out_: str = "") -> int:
    """Find out what is wrong: the likeliest cause first.

    Only reads. Each finding has its evidence, what was changed just before it began, and what to do
    next. Exits with 1 if anything is wrong or a host does not answer. (`fab doctor` says whether
    the next deploy can work.)
    """
    from cartwheel.commands import diagnose as command
    from cartwheel.commands.logs import ago
    from cartwheel.errors import Exit
    from cartwheel.fleet.sessions import failures, successes
    from cartwheel.terminal import diagnosis

    answers = command.diagnose(scene, ago(since), texts=bool(out_))
    judged = successes(answers)
    for host, one in judged.items():
        for line in diagnosis.lines_of(host, one):
            out.say(line)
    out.put(hosts=[{"host": host, **diagnosis.fields_of(one)} for host, one in judged.items()])
    if out_:
        command.write(scene.project / out_, diagnosis.bundle(answers))
        out.say(f"wrote {out_}: the evidence and the logs, with secrets masked")
    silent = failures(answers)
    code = out.failed(ExceptionGroup("hosts", list(silent.values()))) if silent else 0
    return code or (Exit.FAILED if any(one.causes for one in judged.values()) else Exit.OK)
