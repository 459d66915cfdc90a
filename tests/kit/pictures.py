"""Pictures of the monitor's page for the docs, which `script/pictures` asks for."""

from __future__ import annotations

import io
import math
import os
from contextlib import closing
from pathlib import Path

from PIL import Image

from cartwheel_monitor import database, schema
from cartwheel_monitor.store import DATABASE
from tests.kit.browser import Browser
from tests.kit.monitored import DAY, Filled

VARIABLE = "CARTWHEEL_PICTURES"
"""The folder for them; without it none are made."""
_COLOURS = 160
_MOST_BYTES = 120 << 10
_QUIETEST = 0.25  # of the busiest hour


def picture(window: Browser, name: str, width: int, height: int) -> None:
    """Of the view that is open, from its top."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    window.look_like(width, height)
    window.run("scrollTo(0, 0); document.activeElement.blur()")
    shot = Image.open(io.BytesIO(window.driver.get_screenshot_as_png())).convert("RGB")
    path = Path(wanted) / f"{name}.png"
    shot.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < _MOST_BYTES, path


def give_it_a_day(filled: Filled) -> None:
    """Requests that follow the hours, in place of the same ones all the time."""

    def curve(at: float) -> float:
        wave = (1 - math.cos(2 * math.pi * (at % DAY) / DAY)) / 2
        ripple = 0.06 * math.sin(at / 700) + 0.04 * math.sin(at / 190)
        return max(_QUIETEST + (1 - _QUIETEST) * wave + ripple, 0.0)

    changed = ", ".join(
        f"{one} = CAST({one} * curve(at) AS INTEGER)" for one in ("requests", *schema.TIMES)
    )
    store = filled.places.project(filled.app) / DATABASE
    with closing(database.connect(store)) as db, database.transaction(db):
        db.create_function("curve", 1, curve)
        # The slower the busier: what took longest did so by the hour.
        db.execute(
            f"UPDATE minutes SET {changed}, {schema.TIMES[9]} = {schema.TIMES[9]} * curve(at) / 2"  # noqa: S608 - our names
            " WHERE requests > 0"
        )
