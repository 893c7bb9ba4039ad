"""Promoting and rolling back in a real store: refused, forced, tried out, taken back, at once."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.tracking.made_up import NAME, RULE, Registry, errors, scans
from vertebra_ml import tracking
from vertebra_ml.errors import GateError, ModelError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def three(registry: Registry) -> Registry:
    """Register a usual model, a worse and a better one; the first is in production."""
    for made in (errors(), errors(gross=8), errors(moved_mm=-0.5)):
        registry.register(made)
    registry.promote("1", "first")
    return registry


def test_a_worse_one_is_refused_and_a_better_one_promoted(three):
    held = three.aliases()
    with pytest.raises(GateError) as refused:
        three.promote("2")
    line = str(refused.value)
    assert line.startswith(
        f"{NAME} version 2: found gross rate 10.0 % instead of 0.0 % (worse, 95 % interval"
    )
    assert "expected no worse than version 1, which is in production; improve it" in line
    assert "\n" not in line
    assert three.aliases() == held == {"production": "1"}
    assert "promoted" not in three.tags("2")
    assert three.promote("3", "half a mm better") == "3"
    assert three.aliases() == {"production": "3", "previous": "1"}
    tags = three.tags("3")
    assert tags["promoted_because"] == "half a mm better"
    assert tags["promoted_instead_of"] == "1"
    assert tags["promoted_forced"] == "no"
    assert tags["promoted_verdict"] == "better"
    assert tags["promoted_by"]
    assert tags["promoted"].endswith("UTC")
    assert three.rows() == [("promoted", "1", "", "no"), ("promoted", "3", "1", "no")]


def test_a_worse_one_passes_when_forced_and_that_is_kept(three):
    assert three.promote("2", "the other one crashes on our scanner", forced=True) == "2"
    assert three.rows()[-1] == ("promoted", "2", "1", "yes")
    tags = three.tags("2")
    assert (tags["promoted_forced"], tags["promoted_verdict"]) == ("yes", "worse")
    with pytest.raises(ModelError, match="an empty reason"):
        three.promote("1", "  ", forced=True)
    three.promote("3", forced=True)  # nothing to overrule
    assert three.rows()[-1] == ("promoted", "3", "2", "no")


def test_the_gate_cannot_be_forced(three):
    failed = three.register(errors(moved_mm=-0.9), gate="failed")
    with pytest.raises(GateError, match="gate=failed"):
        three.promote(failed, forced=True)
    three.client.delete_model_version_tag(NAME, failed, "gate")
    with pytest.raises(GateError, match="gate=unknown"):
        three.promote(failed, forced=True)
    assert three.promote(None) == "3"  # the newest that passed


def test_a_dry_run_changes_nothing(three):
    state = three.state()
    worse, better = three.weigh("2"), three.weigh("3")
    assert [line.measure for line in worse.worse] == ["gross_rate"]
    assert (better.production, better.challenger, better.verdict) == ("1", "3", "better")
    assert three.weigh("1") is None  # it is in production
    assert three.state() == state


def test_what_cannot_be_compared_is_refused_unless_forced(three):
    other = three.register(errors(41))
    with pytest.raises(ModelError, match=r"version 4: found 1 test cases .* --rescore"):
        three.promote(other)
    with pytest.raises(ModelError, match=r"expected the section promotion of params\.yaml"):
        three.promote("3", weighing=None)
    assert three.promote(other, "another hospital", forced=True) == other
    assert three.tags(other)["promoted_verdict"].startswith("not compared: 1 test cases")
    mute = three.register({})
    client = three.client
    run = client.get_model_version(NAME, mute).run_id
    place = Path(unquote(client.get_run(run).info.artifact_uri.removeprefix("file://")))
    (place / "reports" / "table.csv").unlink()
    with pytest.raises(ModelError, match=r"version 5: found no reports/table\.csv with its run"):
        three.promote(mute)


def test_scored_anew_where_the_cases_were_others(three):
    from tests.tracking.made_up import as_scored

    other = three.register(errors(41))
    again = tracking.Weighing(RULE, rescored={"1": as_scored(errors(41, gross=2))})
    assert three.promote(other, weighing=again) == other
    assert three.tags(other)["promoted_verdict"] == "no difference shown"


def test_fewer_vertebrae_named_right_is_worse(registry):
    for count in (9, 8):
        registry.register(errors(), named=scans(dict.fromkeys(errors(), count)))
    registry.promote("1")
    with pytest.raises(GateError, match=r"id rate 80\.0 % instead of 90\.0 %"):
        registry.promote("2")


def test_rollback_and_the_same_command_again(three):
    with pytest.raises(ModelError, match="no earlier version"):
        three.rollback()
    three.promote("3")
    assert three.rollback("wrong in T12") == "1"
    assert three.aliases() == {"production": "1", "previous": "3"}
    assert three.tags("1")["promoted_because"] == "rollback: wrong in T12"
    assert three.rollback("wrong  in T12") == "1"  # killed after its work, and repeated
    assert three.rollback("it was the scanner") == "3"  # a rollback can be undone
    assert three.aliases() == {"production": "3", "previous": "1"}
    assert three.rows()[1:] == [
        ("promoted", "3", "1", "no"), ("rolled back", "1", "3", "no"),
        ("rolled back", "3", "1", "no"),
    ]  # fmt: skip
    assert three.promote("3") == "3"  # in production already: no row
    assert len(three.rows()) == 4


def test_no_rollback_to_what_failed_its_gate_since(three):
    three.promote("3")
    three.client.set_model_version_tag(NAME, "1", "gate", "failed")
    with pytest.raises(GateError, match="version 1: found gate=failed"):
        three.rollback()
    assert three.aliases()["production"] == "3"


def test_only_the_first(three):
    assert three.promote("3", only_first=True, weighing=None) == "1"
    assert three.aliases() == {"production": "1"}


def test_refusals(registry):
    with pytest.raises(ModelError, match="found versions none"):
        registry.promote(None)
    assert registry.client.get_experiment_by_name("promotions") is None
    registry.register(errors())
    with pytest.raises(ModelError, match="version 9: found versions 1"):
        registry.promote("9")
    with pytest.raises(ModelError, match="a reason of 2001 characters"):
        registry.promote("1", "x" * 2001)
    with pytest.raises(ModelError, match="expected a tracking store that answers"):
        tracking.promote("it's", reason="r", uri=registry.uri)


def test_two_people_promoting_at_once(registry):
    for made in (errors(), errors(moved_mm=-0.2), errors(moved_mm=-0.2)):
        registry.register(made)
    registry.promote("1")
    script = (
        "import sys; from vertebra_ml import tracking;"
        "from tests.tracking.made_up import NAME, RULE;"
        "tracking.promote(NAME, reason='mine', version=sys.argv[1], uri=sys.argv[2],"
        " weighing=tracking.Weighing(RULE))"
    )

    def one(version: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", script, version, registry.uri],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, ("2", "3")))
    _, first, second = registry.rows()
    assert {first[1], second[1]} == {"2", "3"}
    assert first == ("promoted", first[1], "1", "no")
    assert second == ("promoted", second[1], first[1], "no")
    assert registry.aliases() == {"production": second[1], "previous": first[1]}
