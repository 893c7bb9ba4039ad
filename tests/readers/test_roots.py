"""Links out of a data set are refused by name, in every layout; links within it are fine."""

from pathlib import Path

import pytest

from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.readers.roots import check_within, files_below

OUT = "found a symbolic link that leads out of the folder given; expected .*; copy"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a file and a folder, beside one more file that is none of its business."""
    (tmp_path / "root" / "inner").mkdir(parents=True)
    (tmp_path / "root" / "inner" / "scan").write_text("in")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "scan").write_text("out")
    return tmp_path / "root"


def link(place: Path, target: Path) -> Path:
    """Make a symbolic link and return it."""
    place.symlink_to(target)
    return place


def test_what_lies_within_is_returned(root: Path) -> None:
    for path in (root, root / "inner" / "scan", root / "none", root / "inner" / ".." / "inner"):
        assert check_within(root, path) == path


def test_links_within_and_a_root_that_is_a_link_are_fine(root: Path) -> None:
    assert check_within(root, link(root / "again", root / "inner" / "scan"))
    linked = link(root.parent / "linked", root)
    assert check_within(linked, linked / "inner" / "scan")
    assert check_within(linked, root / "inner" / "scan")


@pytest.mark.parametrize(
    "target", ["../outside/scan", "../outside", "..", "../none", "/etc/passwd"]
)
def test_a_link_out_is_refused_by_name(root: Path, target: str) -> None:
    with pytest.raises(LimitError, match=rf"root/away: {OUT}"):
        check_within(root, link(root / "away", Path(target)))


def test_a_link_on_the_way_is_refused_too(root: Path) -> None:
    link(root / "away", root.parent / "outside")
    with pytest.raises(LimitError, match=rf"away/scan: {OUT}"):
        check_within(root, root / "away" / "scan")
    with pytest.raises(LimitError, match=OUT):
        check_within(root, root / ".." / "outside" / "scan")


def test_a_neighbour_whose_name_starts_alike_is_outside(root: Path) -> None:
    (root.parent / "root-2").mkdir()
    with pytest.raises(LimitError, match=OUT):
        check_within(root, link(root / "away", root.parent / "root-2"))


def test_a_circle_of_links_is_refused(root: Path) -> None:
    link(root / "one", root / "two")
    link(root / "two", root / "one")
    with pytest.raises(LimitError, match="one: found a symbolic link that leads in a circle"):
        check_within(root, root / "one")


def test_files_below_are_met_once_and_sorted(root: Path) -> None:
    link(root / "again", root / "inner")
    (root / "a").write_text("")
    assert files_below(root) == [root / "a", root / "inner" / "scan"]


def test_a_linked_folder_out_of_the_root_is_refused(root: Path) -> None:
    link(root / "inner" / "away", root.parent / "outside")
    with pytest.raises(LimitError, match=rf"inner/away: {OUT}"):
        files_below(root)


def test_a_folder_that_cannot_be_listed_is_told(root: Path) -> None:
    with pytest.raises(DatasetError, match="none: found a folder that cannot be read"):
        files_below(root / "none")
