"""Frames on the channel between both sides: the same code runs at either end.

A frame is two big-endian 32-bit lengths, a JSON object of the first length (UTF-8)
and raw bytes of the second. The object's "t" names its kind:

    to the host:    config, request, blob, blob-end, beat, cancel
    to the operator: alive, start, event, result, error, noise
"""

from __future__ import annotations

import json
import os
import struct
from typing import List, NamedTuple

from cartwheel.host.wire.messages import Header

_LENGTHS = struct.Struct("!II")
HEADER_LIMIT_BYTES = 64 << 20
BODY_LIMIT_BYTES = 1 << 20
BLOB_CHUNK_BYTES = 128 << 10
BEAT_SECONDS = 2.0


class FrameError(Exception):
    """The bytes that arrived are not a frame."""


class Frame(NamedTuple):
    header: Header
    body: bytes


def pack(header: Header, body: bytes = b"") -> bytes:
    """The bytes of one frame."""
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > HEADER_LIMIT_BYTES or len(body) > BODY_LIMIT_BYTES:
        raise FrameError("a frame is too long")
    return _LENGTHS.pack(len(text), len(body)) + text + body


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a file or pipe that may take it in parts."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Decoder:
    """Splits a stream of bytes into frames, in time linear in its length."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> List[Frame]:
        """The frames that `data` completes. Raises FrameError for an invalid frame."""
        pending = self._pending
        pending += data
        frames: List[Frame] = []
        at = 0
        while len(pending) - at >= _LENGTHS.size:
            header_size, body_size = _LENGTHS.unpack_from(pending, at)
            if header_size > HEADER_LIMIT_BYTES or body_size > BODY_LIMIT_BYTES:
                raise FrameError("a frame announces an impossible length")
            start = at + _LENGTHS.size
            middle = start + header_size
            end = middle + body_size
            if len(pending) < end:
                break
            frames.append(Frame(_header(pending[start:middle]), bytes(pending[middle:end])))
            at = end
        del pending[:at]
        return frames


def _header(text: bytearray) -> Header:
    try:
        header: Header = json.loads(text)
    except ValueError as error:
        raise FrameError("a frame's header is not JSON") from error
    if not isinstance(header, dict) or not isinstance(header.get("t"), str):
        raise FrameError("a frame's header names no kind")
    return header
