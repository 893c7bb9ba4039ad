"""`label` on the command line: rows, notes, and files that cannot be read."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from tests.chain.columns import candidates
from vertebra_ml.anatomy import USUAL
from vertebra_ml.cli import app


def spine(path: Path, first: str, last: str) -> list[str]:
    """Write a column as a network would, LPS mm; return its names."""
    column, names = candidates(USUAL[USUAL.index(first) : USUAL.index(last) + 1])
    assert column.segments is not None
    entries = [
        {
            "coordinates": {"world_space": (point * [-1, -1, 1]).tolist()},
            "type": {"keypoint_type": "body", "spine_segment_probabilities": shown.tolist()},
        }
        for point, shown in zip(column.points_mm, column.segments, strict=True)
    ]
    path.write_text(json.dumps(entries))
    return names


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["label", *map(str, words)], env={"COLUMNS": "200"})
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def spines(folder: Path) -> list[dict[str, Any]]:
    content: dict[str, Any] = json.loads((folder / "labels.json").read_text())
    assert content["format"]["frame"] == "RAS"
    return list(content["spines"])


def test_every_candidate_has_a_row_in_the_order_of_its_file(tmp_path: Path) -> None:
    names = spine(tmp_path / "one.json", "T9", "L5")
    spine(tmp_path / "two.json", "C1", "T4")
    status, said, _ = run(tmp_path / "one.json", tmp_path / "two.json", "--out", tmp_path / "out")
    found = rows(tmp_path / "out")
    assert status == 0
    assert "2 of 2 spines" in said
    first = [row for row in found if row["spine"] == "one"]
    assert [row["level"] for row in first] == names
    assert [row["candidate"] for row in first] == [str(n) for n in range(len(names))]
    column, _ = candidates(USUAL[15:24])
    told = [[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in first]
    np.testing.assert_allclose(told, column.points_mm, atol=1e-3)
    assert all(0.5 < float(row["probability"]) <= 1 for row in first)


def test_a_bad_file_is_one_line_and_the_rest_is_done(tmp_path: Path) -> None:
    spine(tmp_path / "fine.json", "T9", "L5")
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "empty.json").write_text("[]")
    paths = [tmp_path / f"{name}.json" for name in ("bad", "fine", "empty", "absent")]
    status, said, errors = run(*paths, "--out", tmp_path / "out")
    assert status == 1
    assert "2 of 4 spines" in said
    lines = errors.strip().split("\n")
    assert [("bad.json" in line, "absent.json" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]
    assert {row["spine"] for row in rows(tmp_path / "out")} == {"fine"}


def test_a_column_that_does_not_show_its_level_gets_a_note(tmp_path: Path) -> None:
    spine(tmp_path / "middle.json", "T5", "T9")
    status, _, errors = run(tmp_path / "middle.json", "--out", tmp_path / "out")
    assert status == 0
    assert "note:" in errors
    assert "cannot tell which vertebrae these are" in errors
    found = rows(tmp_path / "out")
    assert all(row["level"].startswith("T") for row in found)
    (told,) = spines(tmp_path / "out")
    assert told["can_tell"] is False
    assert told["doubt"] in errors
    middle = told["candidates"][len(found) // 2]
    assert len(middle["likeliest"]) == 3
    assert all(f"{level} (" in told["doubt"] for level in middle["likeliest"])


def test_the_document_says_the_same_as_the_table(tmp_path: Path) -> None:
    spine(tmp_path / "one.json", "T9", "L5")
    spine(tmp_path / "two.json", "C1", "T4")
    run(tmp_path / "one.json", tmp_path / "two.json", "--out", tmp_path / "out")
    told = spines(tmp_path / "out")
    assert [(each["spine"], each["can_tell"], each["doubt"]) for each in told] == [
        ("one", True, ""), ("two", True, ""),
    ]  # fmt: skip
    flat = [{"spine": each["spine"], **row} for each in told for row in each["candidates"]]
    likeliest = [row.pop("likeliest") for row in flat]
    assert [{key: str(value) for key, value in row.items()} for row in flat] == rows(
        tmp_path / "out"
    )
    for row, chances in zip(flat, likeliest, strict=True):
        assert chances[row["level"]] == row["probability"]
        assert list(chances.values()) == sorted(chances.values(), reverse=True)


def test_a_file_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.json")
    spine(path, "T9", "L5")
    assert run(path, "--out", tmp_path / "out")[0] == 0
    assert {row["spine"] for row in rows(tmp_path / "out")} == {"caf\\udce9"}
    assert spines(tmp_path / "out")


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        spine(tmp_path / folder / "same.json", "T9", "L5")
    paths = [tmp_path / folder / "same.json" for folder in ("a", "b", "a")]
    status, said, _ = run(*paths, "--out", tmp_path / "out")
    assert status == 0
    assert "2 of 2 spines" in said
    assert {row["spine"] for row in rows(tmp_path / "out")} == {"a-same", "b-same"}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    spine(tmp_path / "one.json", "T9", "L5")
    (tmp_path / "file").write_text("")
    status, _, errors = run(tmp_path / "one.json", "--out", tmp_path / "file" / "out")
    assert status == 1
    assert errors.startswith("error: ")


def test_help_shows_a_file_whole() -> None:
    words = " ".join(run("--help")[1].split())
    for part in ('"world_space": [x, y, z]', "[cervical, thoracic, lumbar]"):
        assert part in words  # what looks like markup is not eaten
