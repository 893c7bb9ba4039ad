"""Keypoints that are no JSON, no list, no points, or no end: what `label` is given."""

import json
import os
from pathlib import Path
from typing import Any, Final

from tests.bad.kind import LABEL, Bad, Maker, file_of

Entry = dict[str, Any]


def entry(point: Any = (1.0, 2.0, 3.0), kind: Any = "body", **more: Any) -> Entry:
    """Return one keypoint of a file."""
    return {"coordinates": {"world_space": point}, "type": {"keypoint_type": kind, **more}}


def text(content: bytes, words: str) -> Bad:
    return Bad(file_of(content, ".json"), words, (LABEL,))


def entries(*content: Any, words: str) -> Bad:
    return text(json.dumps(list(content)).encode(), words)


def made(make: Maker, words: str) -> Bad:
    return Bad(make, words, (LABEL,))


def pipe(folder: Path) -> Path:
    """A named pipe that nobody writes into: whoever opens it waits for ever."""
    path = folder / f"{folder.name}.json"
    os.mkfifo(path)
    return path


def endless(folder: Path) -> Path:
    path = folder / f"{folder.name}.json"
    path.symlink_to("/dev/zero")
    return path


def large(folder: Path) -> Path:
    """A sparse file of a gigabyte."""
    path = folder / f"{folder.name}.json"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    return path


def named(name: str) -> Maker:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(b"{")
        return path

    return make


NAN: Final = json.dumps([entry((float("nan"), 0, 0))]).encode()

KEYPOINTS: Final = {
    "keypoints: nothing there": made(
        lambda folder: folder / f"{folder.name}.json", "nothing at that path"
    ),
    "keypoints: a folder": made(lambda folder: folder, "something else than a file"),
    "keypoints: a named pipe": made(pipe, "something else than a file"),
    "keypoints: a device": made(endless, "something else than a file"),
    "keypoints: a gigabyte": made(large, "1,073,741,824 bytes"),
    "keypoints: a name with a line break": made(named("a\nb.json"), "no readable JSON"),
    "keypoints: a name that is no UTF-8": made(
        named(os.fsdecode(b"caf\xe9.json")), "no readable JSON"
    ),
    "keypoints: an empty file": text(b"", "no readable JSON"),
    "keypoints: a text": text(b"not a spine", "no readable JSON"),
    "keypoints: half a list": text(b'[{"type": {', "no readable JSON"),
    "keypoints: UTF-16": text("[]".encode("utf-16"), "no readable JSON"),
    "keypoints: a picture": text(b"\x89PNG\r\n", "no readable JSON"),
    "keypoints: deep brackets": text(b"[" * 100_000, "no readable JSON"),
    "keypoints: a key twice": text(b'[{"type": 1, "type": 2}]', "no readable JSON"),
    "keypoints: an object": text(b'{"keypoints": []}', "a JSON dict"),
    "keypoints: null": text(b"null", "a JSON NoneType"),
    "keypoints: numbers": entries(1, 2, 3, words="entry 0 without type and coordinates"),
    "keypoints: no coordinates": entries(
        {"type": {"keypoint_type": "body"}}, words="entry 0 without type and coordinates"
    ),
    "keypoints: a rib": entries(entry(), entry(kind="rib"), words="a keypoint 'rib' in entry 1"),
    "keypoints: two numbers": entries(entry((1, 2)), words=r"a point \[1, 2\] in entry 0"),
    "keypoints: a point of words": entries(entry("abc"), words="a point 'abc' in entry 0"),
    "keypoints: a point of nothing": entries(entry([None] * 3), words="a point .* in entry 0"),
    "keypoints: NaN": text(NAN, "a point .* in entry 0"),
    "keypoints: infinity": text(NAN.replace(b"NaN", b"1e999"), "a point .* in entry 0"),
    "keypoints: a number of 400 digits": entries(
        entry((10**400, 0, 0)), words="a point .* in entry 0"
    ),
    "keypoints: kilometres away": entries(entry((1e9, 0, 0)), words="a point .* in entry 0"),
    "keypoints: probabilities above 1": entries(
        entry(spine_segment_probabilities=[0, 2, 0]), words="segment probabilities .* in entry 0"
    ),
    "keypoints: two probabilities": entries(
        entry(spine_segment_probabilities=[0, 1]), words="segment probabilities .* in entry 0"
    ),
    "keypoints: probabilities of some": entries(
        entry(spine_segment_probabilities=[0, 1, 0]), entry((0, 0, 40)),
        words="1 bodies without segment probabilities",
    ),
    "keypoints: an unknown level": entries(entry(spine_level="T14"), words="the level 'T14'"),
    "keypoints: a thousand and one": entries(*[entry()] * 1001, words="1,001 keypoints"),
}  # fmt: skip
