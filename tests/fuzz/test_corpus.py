"""The fuzzers' inputs, replayed without a fuzzer: seeds, their near misses, and what was found."""

import random
import zipfile
from pathlib import Path

import pytest

from tests.fuzz import seeds, targets
from tests.fuzz.fuzzer import TooMuchError, keep, within

GROUPS = {"headers": targets.HEADERS, "labels": targets.LABELS}
CORPUS = Path(__file__).parent / "corpus.zip"
"""What the fuzzers grew from the seeds: an input for each way through the code that they found.
A finding is added here as GROUP/NAME, the first byte naming the reader."""
MISSES = 12
"""Near misses of each seed: some thousand inputs in all would be a fuzzer."""


@pytest.fixture(autouse=True)
def _no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    from vertebra_ml.readers.dicom_workers import Workers

    monkeypatch.setattr(Workers, "decode", Workers.decode)  # put back afterwards
    targets.refuse_frames()


def spoilt(data: bytes, dice: random.Random) -> bytes:
    """Return the input with some bytes changed, cut out, doubled or cut off."""
    content = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        place = dice.randrange(1, len(content)) if len(content) > 1 else 0
        match dice.randrange(4):
            case 0:
                content[place:] = content[place:][dice.randint(1, 9) :]
            case 1:
                content[place:place] = content[place : place + dice.randint(1, 9)]
            case 2:
                content[place : place + 1] = dice.randbytes(1)
            case _:
                content[place : place + 4] = dice.choice([b"\0" * 4, b"\xff" * 4, b"\x80\0\0\0"])
    return bytes(content)


@pytest.mark.parametrize("group", GROUPS)
def test_seeds_and_near_misses_raise_our_errors_alone(group: str, tmp_path: Path) -> None:
    assert seeds.write(tmp_path, group) >= 8
    dice = random.Random(4)
    known = GROUPS[group]
    assert {path.read_bytes()[0] for path in tmp_path.iterdir()} == set(range(len(known)))
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        targets.run(known, data)
        for _ in range(MISSES):
            targets.run(known, data[:1] + spoilt(data, dice)[1:])


@pytest.mark.parametrize("group", GROUPS)
def test_good_seeds_are_read_to_their_end(group: str, tmp_path: Path) -> None:
    """A fuzzer whose seeds are all refused at the door would look at nothing but the door."""
    seeds.write(tmp_path, group)
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        GROUPS[group][data[0]](data[1:])  # our own errors would be raised here


@pytest.mark.parametrize("group", GROUPS)
def test_the_corpus_raises_our_errors_alone(group: str) -> None:
    with zipfile.ZipFile(CORPUS) as archive:
        inputs = [archive.read(name) for name in archive.namelist() if name.startswith(group)]
    assert len(inputs) > 300
    for data in inputs:
        targets.run(GROUPS[group], data)


def test_what_is_not_ours_is_kept_with_its_traceback(tmp_path: Path) -> None:
    def broken(data: bytes) -> None:
        raise TypeError(f"cannot read {data!r}")

    for data in (b"\0long enough", b"\0short", b"\0longer again"):
        with pytest.raises(TypeError) as caught:
            targets.run((broken,), data)
        keep(tmp_path, data, caught.value)
    (kept,) = [path for path in tmp_path.iterdir() if path.suffix != ".txt"]
    assert kept.name.startswith("TypeError-")
    assert kept.read_bytes() == b"\0short"
    assert "cannot read b'short'" in kept.with_suffix(".txt").read_text()


def test_too_much_memory_is_a_finding() -> None:
    import numpy as np

    assert np.ones(150_000_000).sum() > 0  # what was held before is not charged to an input
    within(lambda: None)
    with pytest.raises(TooMuchError, match="MB"):
        within(lambda: np.ones(100_000_000).sum())  # 800 MB
