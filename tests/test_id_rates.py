"""Identification rates, held against slow loops and against cases counted by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra_ml import id_rates
from vertebra_ml.anatomy import LEVELS, USUAL, region
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, Truth

Point = tuple[float, float, float]
NAN = math.nan


def scan(
    labels: dict[str, Point], answer: dict[str, Point], *, visible=None, missing=(), warnings=(),
    case="a", group="x",
) -> id_rates.Scan:  # fmt: skip
    marks = Landmarks.of(answer)
    said = Prediction(
        case, marks, tuple(missing), (None,) * len(marks), ModelIdentity("m"), 0.1, warnings
    )
    truth = Truth(Landmarks.of(labels), tuple(visible or labels))
    return id_rates.Scan(case, group, truth, said)


def column(*levels: str, top_mm: float = 500.0, gap_mm: float = 30.0) -> dict[str, Point]:
    """Return a straight spine: one body each ``gap_mm``, from the head down."""
    return {level: (0.0, 0.0, top_mm - gap_mm * i) for i, level in enumerate(levels)}


def moved(points: dict[str, Point], by: int, onto: tuple[str, ...]) -> dict[str, Point]:
    """Return the same points under the names that lie ``by`` places further in ``onto``."""
    return {onto[onto.index(name) + by]: point for name, point in points.items()}


FIVE = column("T11", "T12", "L1", "L2", "L3")  # z 500 470 440 410 380
ONE = [
    # answer of L1 (label at z 440): identified, nearest, challenge, spinefinder, levels off
    ((0, 0, 440), (True, True, True, True, 0)),
    ((0, 0, 454.9), (True, True, True, True, 0)),
    ((0, 0, 455.1), (False, False, True, True, -1)),  # T12 has no answer: VerSe's program lets it
    ((20, 0, 440), (True, True, True, True, 0)),  # 20 mm itself counts
    ((20.001, 0, 440), (False, True, False, False, 0)),  # nearest alone has no limit
    ((90, 0, 440), (False, True, False, False, 0)),
    ((0, 0, 470), (False, False, False, False, -1)),
    ((0, 0, 380), (False, False, False, False, 2)),
    ((NAN, NAN, 430), (True, True, True, True, 0)),  # a height alone: 10 mm along z
]


@pytest.mark.parametrize(("point", "expected"), ONE)
def test_one_vertebra_by_each_definition(point, expected):
    (found,) = [each for each in id_rates.judge(scan(FIVE, {"L1": point})) if each.level == "L1"]
    got = (found.identified, found.nearest, found.challenge, found.spinefinder, found.levels_off)
    assert got == expected


def test_spinefinder_looks_from_the_label_for_the_nearest_answer():
    # Both answers lie 4 and 6 mm above L1's label: the nearest is called T12.
    entries = id_rates.judge(scan(FIVE, {"L1": (0, 0, 446), "T12": (0, 0, 444)}))
    (lumbar,) = [each for each in entries if each.level == "L1"]
    assert (lumbar.identified, lumbar.spinefinder) == (True, False)


def test_a_missed_vertebra_is_wrong_and_an_invented_one_is_told():
    found = id_rates.judge(scan(FIVE, {"L4": (0, 0, 350), "T10": (0, 0, 530)}, visible=("T10",)))
    assert [(each.level, each.labelled, each.answered) for each in found] == [
        *((level, True, False) for level in FIVE), ("L4", False, True),
    ]  # fmt: skip
    assert not any(each.identified for each in found)  # T10 is visible: neither right nor wrong


def naive_identified(labels: dict[str, Point], answer: dict[str, Point]) -> set[str]:
    """Say in a loop: nearest label of all, and at most 20 mm."""
    right = set()
    for name, point in answer.items():
        if name in labels:
            apart = {other: math.dist(point, place) for other, place in labels.items()}
            if apart[name] == min(apart.values()) and apart[name] <= 20:
                right.add(name)
    return right


def naive_challenge(labels: dict[str, Point], answer: dict[str, Point]) -> set[str]:
    """Say in a loop what VerSe's program counts: rows that hold no answer or no label are cut."""
    both = {name: place for name, place in labels.items() if name in answer}
    return naive_identified(both, {name: answer[name] for name in both})


def naive_spinefinder(labels: dict[str, Point], answer: dict[str, Point]) -> set[str]:
    """Say in a loop: the nearest answer within 20 mm of a label bears its name."""
    right = set()
    for name, place in labels.items():
        near, best = 20.0, None
        for other, point in answer.items():
            if math.dist(point, place) <= near:
                near, best = math.dist(point, place), other
        if best == name:
            right.add(name)
    return right


@st.composite
def scans(draw) -> id_rates.Scan:
    """A column of some patient, and answers near it: shifted, missed, invented, far off."""
    variant = draw(st.sampled_from([(), ("T13",), ("L6",), ("T13", "L6")]))
    body = [level for level in LEVELS if level in USUAL or level in variant]
    if draw(st.booleans()):
        body.remove("T12")
    first = draw(st.integers(0, len(body) - 2))
    visible = body[first : first + draw(st.integers(1, 9))]
    gap = draw(st.floats(14, 38))
    labels = {
        level: (draw(st.floats(-9, 9)), draw(st.floats(-9, 9)), 400 - gap * i)
        for i, level in enumerate(visible)
        if draw(st.integers(0, 9))
    }
    by = draw(st.sampled_from([0, 0, 0, -1, 1]))
    answer = {}
    for i, _ in enumerate(visible):
        if draw(st.integers(0, 6)) and 0 <= first + i + by < len(body):
            off = [draw(st.floats(-14, 14)) for _ in range(3)]
            answer[body[first + i + by]] = (off[0], off[1], 400 - gap * i + off[2])
    for level in draw(st.sets(st.sampled_from(LEVELS), max_size=2)):
        answer[level] = (0.0, 0.0, draw(st.floats(100, 400)))
    case = f"c{draw(st.integers(0, 10**6))}"
    return scan(labels, answer, visible=visible, case=case, group=draw(st.sampled_from("xy")))


def points(marks: Landmarks) -> dict[str, Point]:
    return {name: tuple(map(float, marks[name])) for name in marks.labels}


@settings(derandomize=True, max_examples=300)
@given(scans())
def test_definitions_agree_with_slow_loops(each):
    labels, answer = points(each.truth.landmarks), points(each.prediction.landmarks)
    found = id_rates.judge(each)
    assert {v.level for v in found if v.identified} == naive_identified(labels, answer)
    assert {v.level for v in found if v.challenge} == naive_challenge(labels, answer)
    assert {v.level for v in found if v.spinefinder} == naive_spinefinder(labels, answer)
    assert {v.level for v in found if v.identified} <= {v.level for v in found if v.challenge}
    assert {v.level for v in found if v.labelled} == set(labels)
    assert {v.level for v in found if not v.labelled} == set(answer) - set(each.truth.visible)


def naive_numbers(chosen: list[id_rates.Scan], part=lambda level: True) -> dict[str, float | None]:
    """Say the numbers of these scans with loops, of the levels of ``part`` alone."""
    right, errors, penalised, rates, whole = [], [], [], [], []
    for each in chosen:
        labels, answer = points(each.truth.landmarks), points(each.prediction.landmarks)
        named = naive_identified(labels, answer)
        here = [level for level in labels if part(level)]
        invented = [n for n in answer if n not in each.truth.visible and part(n)]
        for level in here:
            right.append(level in named)
            error = math.dist(labels[level], answer[level]) if level in answer else None
            penalised.append(id_rates.MISSED_MM if error is None else error)
            errors += [error] if level in named else []
        if here:
            rates.append(sum(level in named for level in here) / len(here))
        if here or invented:
            whole.append(all(level in named for level in here) and not invented)
    known = {"id_rate": right, "mean_mm": errors, "mean_penalised_mm": penalised,
             "id_rate_scans": rates, "all_right_rate": whole}  # fmt: skip
    answer = {name: float(np.mean(values)) if values else None for name, values in known.items()}
    answer["median_mm"] = float(np.median(errors)) if errors else None
    answer["std_mm"] = float(np.std(errors)) if errors else None
    return answer


@settings(derandomize=True, max_examples=60)
@given(st.lists(scans(), max_size=5, unique_by=lambda each: each.case))
def test_numbers_agree_with_slow_loops(chosen):
    summary = id_rates.summarise(chosen, bootstrap=3, seed=1)
    json.dumps(summary, allow_nan=False)
    parts = [(summary["overall"], naive_numbers(chosen))]
    parts += [
        (entry, naive_numbers(chosen, lambda level, name=name: region(level) == name))
        for name, entry in summary["regions"].items()
    ]
    parts += [
        (entry, naive_numbers([each for each in chosen if each.group == name]))
        for name, entry in summary["groups"].items()
    ]
    parts += [
        (entry, naive_numbers(chosen, lambda level, name=name: level == name))
        for name, entry in summary["levels"].items()
    ]
    for found, expected in parts:
        for name, value in expected.items():
            assert found[name] == (None if value is None else pytest.approx(value, abs=1e-5)), name


PATIENTS = {
    "usual": ("T10", "T11", "T12", "L1", "L2", "L3"),
    "T13": ("T11", "T12", "T13", "L1", "L2"),
    "no T12": ("T9", "T10", "T11", "L1", "L2"),
    "L6": ("L2", "L3", "L4", "L5", "L6"),
}


@pytest.mark.parametrize("patient", PATIENTS.values(), ids=PATIENTS)
@pytest.mark.parametrize("by", [0, 1, -1])
def test_steps_are_counted_along_the_patients_own_column(patient, by):
    labels = column(*patient)
    inside = {
        patient[i + by]: labels[name]
        for i, name in enumerate(patient)
        if 0 <= i + by < len(patient)
    }
    each = scan(labels, inside)
    entry = id_rates.summarise([each], bootstrap=0, seed=0)["overall"]
    assert entry["off_by_one_rate"] == (1.0 if by else 0.0)
    assert (
        id_rates.scan_row(each)["shift_levels"] == -by
    )  # named by places too far down: sits above
    assert entry["all_right"] == (1 if by == 0 else 0)


def test_the_shift_over_an_absent_vertebra_is_one():
    labels = column("T11", "L1")  # this patient has no T12
    assert id_rates.shift(scan(labels, {"T11": labels["L1"]})) == 1
    assert id_rates.shift(scan(labels, {"L1": labels["T11"]})) == -1


def test_the_shift_is_known_where_no_name_is_shared():
    labels = column("L1", "L2", "L3")
    assert id_rates.shift(scan(labels, moved(labels, 3, LEVELS))) == -3
    assert id_rates.shift(scan(labels, {"L1": (300, 0, 0)})) is None
    assert id_rates.shift(scan({}, labels, visible=("L1",))) is None


def test_the_row_of_a_scan():
    answer = {**FIVE, "L3": (0, 0, 350.0), "L5": (0, 0, 300.0), "L1": (3, 4, 440.0)}
    del answer["T11"]
    row = id_rates.scan_row(scan(FIVE, answer, warnings=("one", "two")))
    assert tuple(row) == id_rates.SCAN_COLUMNS
    assert row == {
        "case": "a", "group": "x", "labelled": 5, "identified": 3, "missed": 1, "invented": 1,
        "mean_mm": pytest.approx(5 / 3), "max_mm": pytest.approx(30), "shift_levels": 0,
        "all_right": False, "warnings": "one; two",
    }  # fmt: skip
    bare = id_rates.scan_row(scan({}, {}, visible=("L1",)))
    assert (bare["all_right"], bare["mean_mm"], bare["max_mm"]) == (None, None, None)


def test_numbers_by_hand():
    perfect, half = scan(FIVE, FIVE, case="a"), scan(FIVE, {"T11": FIVE["T11"]}, case="b")
    entry = id_rates.summarise([perfect, half], bootstrap=200, seed=1)["overall"]
    counts = ("scans", "labelled", "answered", "identified", "missed", "invented", "all_right")
    assert [entry[name] for name in counts] == [2, 10, 6, 6, 4, 0, 1]
    assert entry["id_rate"] == 0.6
    assert entry["id_rate_scans"] == pytest.approx((1 + 0.2) / 2)
    assert entry["mean_penalised_mm"] == pytest.approx(40)  # four missed at 100 mm
    assert (entry["id_rate_low"], entry["id_rate_high"]) == (0.2, 1.0)
    assert (entry["all_right_rate"], entry["all_right_rate_low"]) == (0.5, 0.0)


def test_a_rate_without_failure_keeps_an_open_end():
    many = [scan(FIVE, FIVE, case=f"c{i}") for i in range(60)]
    entry = id_rates.summarise(many, bootstrap=20, seed=1)["overall"]
    assert entry["all_right_rate_low"] == pytest.approx(1 - (1 - 0.05 ** (1 / 60)))
    assert entry["off_by_one_rate_high"] == pytest.approx(1 - 0.05 ** (1 / 60))


def test_rates_of_nothing():
    summary = id_rates.summarise([], bootstrap=5, seed=1)
    assert summary["overall"]["id_rate"] is None
    assert summary["regions"] == summary["levels"] == summary["groups"] == {}


COLUMNS = [
    # answers, missing, whether they name a column
    ([FIVE], (), True),
    ([{"L3": (NAN, NAN, 4.0)}], (), False),
    ([{"L3": (NAN, NAN, 4.0)}, {"L3": (1.0, 2.0, 4.0)}], (), True),
    ([{}], ("T12", "L3"), False),
    ([{}], USUAL, True),  # a model of the whole column that found nothing is measured as such
    ([], (), False),
]


@pytest.mark.parametrize(("answers", "missing", "expected"), COLUMNS)
def test_answers_that_name_a_column(answers, missing, expected):
    assert id_rates.name_columns([scan(FIVE, a, missing=missing) for a in answers]) is expected
