"""Frames: whatever pieces they arrive in, and whatever else arrives."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartwheel.host.wire import framing
from cartwheel.host.wire.messages import Header

HEADERS = st.dictionaries(
    st.text(max_size=5), st.one_of(st.text(), st.integers(), st.none()), max_size=4
).map(lambda fields: {**fields, "t": "x"})


@given(frames=st.lists(st.tuples(HEADERS, st.binary(max_size=300)), max_size=6), data=st.data())
def test_frames_survive_any_cutting(
    frames: list[tuple[Header, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(framing.pack(header, body) for header, body in frames)
    decoder = framing.Decoder()
    got: list[framing.Frame] = []
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        got += decoder.feed(stream[at : at + size])
        at += size
    assert [(frame.header, frame.body) for frame in got] == frames


@given(st.binary(min_size=8, max_size=64))
def test_anything_else_is_refused_or_incomplete(data: bytes) -> None:
    try:
        frames = framing.Decoder().feed(data)
    except framing.FrameError:
        return
    assert frames == [] or all("t" in frame.header for frame in frames)


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"t":1}', b"nonsense", b"\xff\xff"])
def test_a_header_without_a_kind(text: bytes) -> None:
    with pytest.raises(framing.FrameError):
        framing.Decoder().feed(len(text).to_bytes(4, "big") + bytes(4) + text)


def test_impossible_lengths() -> None:
    with pytest.raises(framing.FrameError):
        framing.Decoder().feed(b"Welcome to Debian GNU/Linux")
    with pytest.raises(framing.FrameError):
        framing.pack({"t": "x"}, bytes(framing.BODY_LIMIT_BYTES + 1))


def test_decoding_is_linear() -> None:
    body = bytes(framing.BLOB_CHUNK_BYTES)
    stream = framing.pack({"t": "blob", "id": 1}, body) * 200  # 25 MB
    decoder = framing.Decoder()
    begun = time.perf_counter()
    count = sum(len(decoder.feed(stream[at : at + 32768])) for at in range(0, len(stream), 32768))
    assert count == 200
    assert time.perf_counter() - begun < 5
