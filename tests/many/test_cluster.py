"""Scans done by a cluster: a worker that dies loses nothing, a scan that kills is told, no hang."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.many.conftest import WAIT_S, Cluster
from tests.many.fake import Fake, begun, scans
from vertebra_ml.archive import read_archive
from vertebra_ml.case import Case
from vertebra_ml.many import engines
from vertebra_ml.many.cluster import ClusterCrew
from vertebra_ml.many.crew import CrewError, Job, work_off
from vertebra_ml.many.projecting import project_afar
from vertebra_ml.many.scans import Engine, Wanted, by_crew, locate_many
from vertebra_ml.projected import project_case

NAMES = [f"s{number:02d}" for number in range(16)]
PROJECTION = {"spacing_mm": 5.0, "body_threshold_hu": -300, "slab_mm": 60.0}


def locate(
    folder: Path, names: Sequence[str], engine: Engine, **options: object
) -> tuple[int, list[str]]:
    wanted = Wanted(folder / "out", ("csv", "json", "verse"), False, "fake")
    return locate_many(scans(folder / "scans", names), wanted, engine, **options)  # type: ignore[arg-type]


def test_killed_workers_lose_nothing_and_a_killer_is_a_line(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One worker is killed from outside, then a scan kills two more: nobody waits for ever."""
    fake = Fake(tmp_path / "notes", pause_s=0.05)
    fake.notes.mkdir()
    engine = by_crew(fake, lambda jobs: ClusterCrew(cluster.address, patience_s=WAIT_S))
    victim, other = cluster.worker(), cluster.worker()
    done: list[int] = []

    def kill(count: int) -> None:
        done.append(count)
        if len(done) == 4:
            victim.kill()

    assert locate(tmp_path, NAMES, engine, on_progress=kill) == (16, [])
    assert victim.wait() != 0
    assert other.poll() is None
    assert len(done) == 16
    often = begun(fake.notes)
    assert set(often) == set(NAMES)
    # Done again: the one that the victim was at, and one whose answer was still on its way.
    assert sum(often.values()) <= len(NAMES) + ClusterCrew.depth
    there = tmp_path / "out"
    assert len(list(there.glob("s*_ctd.json"))) == 16
    table = (there / "slices.csv").read_bytes()

    here = tmp_path / "alone"
    here.mkdir()
    (here / "scans").symlink_to(tmp_path / "scans")
    locate(here, NAMES, engines.here(fake, fake.build, 1))
    assert (here / "out" / "slices.csv").read_bytes() == table

    third = cluster.worker()
    located, (line,) = locate(tmp_path, [*NAMES, "killer", "last", "one"], engine)
    assert located == 18
    assert "killer.nii.gz: found a scan during which two processes ended" in line
    assert begun(fake.notes)["killer"] == 2
    assert (other.wait(), third.wait()) == (-9, -9)
    assert "distributed" not in capfd.readouterr().err  # Dask's own words on lost workers


def test_nobody_left_is_one_line_and_what_is_done_is_kept(cluster: Cluster, tmp_path: Path) -> None:
    fake = Fake(tmp_path / "notes", pause_s=0.05)
    fake.notes.mkdir()
    engine = by_crew(fake, lambda jobs: ClusterCrew(cluster.address, patience_s=3.0))
    with pytest.raises(CrewError, match="found no worker for 3 s") as caught:
        locate(tmp_path, NAMES, engine)
    assert "dask worker" in str(caught.value)
    assert not begun(fake.notes)


def test_archives_made_there_are_those_made_here(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker()
    good = scans(tmp_path / "scans", ["a", "b"])
    bad = Case("bad", "bad", tmp_path / "bad.nii.gz", "scan", None)
    paths = {tmp_path / f"{case.id}.npz": case for case in (*good, bad)}
    with ClusterCrew(cluster.address, patience_s=WAIT_S) as crew:
        told = dict(project_afar(paths, PROJECTION, crew))
        (_, odd), *_ = work_off([Job(0, _other_code, ())], crew)
    assert isinstance(odd, ImportError)
    assert "bad.nii.gz: found a case without image" in told.pop(tmp_path / "bad.npz")
    assert set(told.values()) == {""}
    for path, case in list(paths.items())[:2]:
        made, own = read_archive(path), project_case(case, PROJECTION)
        np.testing.assert_array_equal(made.pair.frontal.image, own.pair.frontal.image)
        assert made.case == case.id


def _other_code(shared: object) -> str:
    raise ImportError("no module of this name")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere at all", "ftp://127.0.0.1:9"])
def test_no_scheduler_there_is_one_line(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vertebra_ml.many.cluster.CONNECT_S", 1)
    # A client made in vain, collected while the next one starts, hangs it: none is made.
    monkeypatch.setattr("distributed.Client", None)
    with pytest.raises(CrewError, match="found no scheduler that answers") as caught:
        ClusterCrew(address)
    assert str(caught.value).startswith(address)
    assert "TypeError" not in str(caught.value)


def test_without_dask_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CrewError, match="--extra cluster"):
        ClusterCrew("tcp://127.0.0.1:8786")
