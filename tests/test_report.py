"""The page: whole, self-contained, escaped, and true to the summary."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from vertebra_ml import id_rates, metrics, plots, report
from vertebra_ml.report.names import SCAN_ROWS, worst_first

ROWS = [
    {"case": f"c{i}", "group": "phantom" if i < 8 else "plain", "level": level, "present": True,
     "found": i != 3, "error_mm": None if i == 3 else error, "dz_mm": None if i == 3 else error,
     "error_slices": None if i == 3 else error / 2, "score": 0.9, "levels_off": 0}
    for level in ("T12", "L3")
    for i, error in enumerate(np.linspace(0, 30, 10))
]  # fmt: skip


def page(rows=ROWS, **changes) -> str:
    table = metrics.as_table(rows)
    summary = metrics.summarise(table, gross_mm=20, bootstrap=50, seed=1)
    given = {
        "title": "A <model>",
        "summary": summary,
        "table": table,
        "figures": {},
        "facts": {"seed": 7, "<i>kind": "a & b <script>"},
    } | changes
    return report.page(report.Measured(**given))


class Tags(HTMLParser):
    """Collects tags, and checks that each that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    return parser.seen


@pytest.fixture(scope="module")
def drawn() -> str:
    """A page with every chart and two pictures."""
    table = metrics.as_table(ROWS)
    picture = plots.Figure(figsize=(2, 1))
    history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5]})
    figures = report.standard_figures(
        table, gross_mm=20, overlays=[picture, picture], history=history
    )
    return page(figures=figures)


def test_nothing_comes_from_elsewhere(drawn):
    text = drawn
    for tag, attributes in tags(text):
        assert tag not in ("script", "link", "iframe")
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    style = text.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_pictures_are_whole_and_have_words(drawn):
    images = [attributes for tag, attributes in tags(drawn) if tag == "img"]
    assert len(images) == 5
    for image in images:
        assert image["alt"]
        assert base64.b64decode(image["src"].split(",")[1]).startswith(b"\x89PNG")


def test_every_given_word_is_escaped():
    text = page()
    assert "<script" not in text
    assert "<i>kind" not in text
    assert "a &amp; b &lt;script&gt;" in text
    assert "A &lt;model&gt;" in text
    hostile = [row | {"case": "<b>x", "group": "<u>g"} for row in ROWS]
    text = page(hostile)
    assert "<b>x" not in text
    assert "<u>g" not in text


def test_numbers_are_those_of_the_summary():
    summary = metrics.summarise(metrics.as_table(ROWS), gross_mm=20, bootstrap=50, seed=1)
    plain = re.sub(r"<[^>]+>", " ", page()).replace("\xa0", " ")
    overall = summary["overall"]
    assert f"{overall['median_mm']:.1f} mm" in plain
    assert f"{overall['gross_rate'] * 100:.1f} %" in plain
    assert f"{overall['gross']} of {overall['n']} beyond 20 mm" in plain
    assert "2 of 20 wrong, 0 invented" in plain
    for name in ("T12", "L3", "phantom, T12", "plain, all"):
        assert name in plain


def test_a_level_without_a_place_that_is_there_is_no_wrong_call_of_presence():
    untold = [row | {"found": None if row["case"] == "c3" else True} for row in ROWS]
    plain = re.sub(r"<[^>]+>", " ", page(untold)).replace("\xa0", " ")
    assert "0 of 20 wrong, 0 invented; 2 without a place" in plain


def test_the_page_says_what_was_measured_and_what_it_is_not():
    text = page()
    assert "Measured on 10 scans: 8 phantoms (drawn, not taken from people)" in text
    assert "labelled data sets: 2 of plain" in text
    assert "no medical device" in text
    assert "say nothing sure about people" in page(ROWS[:5])


def test_a_page_of_nothing_is_still_a_page():
    text = page([])
    tags(text)
    assert "Nothing was measured" in text
    assert "nan" not in re.sub(r"data:[^\"]+", "", text).lower()


def test_every_section_is_there(drawn):
    headings = re.findall(r"<h2>([^<]+)</h2>", drawn)
    assert headings == [
        "By level", "By source of the scans", "Errors", "Reliability of the score", "Worst cases",
        "Training", "Worst answers", "What made these numbers",
    ]  # fmt: skip


def test_the_file_is_written_at_once(tmp_path):
    path = tmp_path / "new" / "report.html"
    table = metrics.as_table(ROWS)
    summary = metrics.summarise(table, gross_mm=20, bootstrap=5, seed=1)

    def write(facts) -> None:
        report.write_report(path, report.Measured("t", summary, table, {}, facts))

    write({"a": 1})
    before = path.read_text()
    with pytest.raises(AttributeError):
        write(None)
    assert path.read_text() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_phantoms_of_unlike_ranges_are_phantoms_too():
    table = metrics.as_table([row | {"group": "phantom-unlike"} for row in ROWS])
    assert "labelled data sets" not in report.measured_on(table)
    assert "10 phantoms" in report.measured_on(table)


def scan_rows(count: int) -> list[dict[str, object]]:
    return [
        {"case": f"c{i}", "group": "plain", "labelled": 5, "identified": 5 - i % 3, "missed": 0,
         "invented": 0, "mean_mm": 1.0, "max_mm": float(i), "shift_levels": -1, "all_right": False,
         "warnings": "<script>"}
        for i in range(count)
    ]  # fmt: skip


def test_scans_are_listed_worst_first_and_limited():
    ordered = [row["case"] for row in worst_first(scan_rows(6))]
    assert ordered == ["c5", "c2", "c4", "c1", "c3", "c0"]  # fewest named right, then farthest off
    table = metrics.as_table(ROWS)
    summary = metrics.summarise(table, gross_mm=20, bootstrap=5, seed=1)
    summary["identification"] = id_rates.summarise([], bootstrap=5, seed=1)
    text = page(summary=summary, scans=scan_rows(SCAN_ROWS + 2))
    tags(text)
    assert "2 better scans are in scans.csv" in text
    assert "1 to the head" in text
    assert "<script" not in text
    assert "20 mm away" in text
    assert "100 mm for one without an answer" in text
