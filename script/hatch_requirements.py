"""Give the wheel the same pinned dependencies that requirements.txt names."""

from __future__ import annotations

from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


class CustomMetadataHook(MetadataHookInterface):
    def update(self, metadata: dict[str, object]) -> None:
        lines = (Path(self.root) / "requirements.txt").read_text().splitlines()
        names = (line.split("#", 1)[0].strip() for line in lines)
        metadata["dependencies"] = [name for name in names if name]
