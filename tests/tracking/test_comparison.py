"""The paired bootstrap against a slow second opinion, known cases, and what counts as worse."""

from dataclasses import replace
from statistics import NormalDist, mean, median

import numpy as np
import pytest

from tests.tracking.made_up import LEVELS, RULE, as_scored, errors, scans, table
from vertebra_ml import intervals
from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.comparison import (
    BETTER,
    LESS_IS_BETTER,
    NEITHER,
    WORSE,
    WORSE_BY_MARGIN,
    Comparison,
    Line,
    compare,
)
from vertebra_ml.tracking.in_words import as_rows, comparison_in_words, line_in_words


def line(found: Comparison, measure: str) -> Line:
    (only,) = (each for each in found.lines if each.measure == measure)
    return only


def drawn(people: list[str]) -> list[list[str]]:
    """Return the patients of each draw, one by one."""
    weights = intervals.draw_cases(len(people), RULE.draws, RULE.seed)
    return [
        [name for name, times in zip(people, row, strict=True) for _ in range(times)]
        for row in weights
    ]


def test_a_slow_second_opinion():
    first = errors(12, gross=1, silent=1)
    second = errors(12, moved_mm=0.4, gross=2)
    owner = {case: f"p{place // 2}" for place, case in enumerate(first)}  # two scans a patient
    right = {case: 8 + place % 3 for place, case in enumerate(first)}
    found = compare(
        as_scored(first, scans(dict.fromkeys(first, 9))), as_scored(second, scans(right)), RULE,
        owner,
    )  # fmt: skip

    def numbers(made, identified, people):
        mine = [case for name in people for case in made if owner[case] == name]
        every = [error for case in mine for error in made[case]]
        placed = [error for error in every if error is not None]
        return {
            "gross_rate": mean(error > 20 for error in placed),
            "median_mm": median(placed),
            "presence_right": len(placed) / len(every),
            "id_rate": sum(identified[case] for case in mine) / (10 * len(mine)),
        }

    people = sorted(set(owner.values()))
    nines = dict.fromkeys(first, 9)
    draws = drawn(people)
    for name in LESS_IS_BETTER:
        got = line(found, name)
        assert got.production == pytest.approx(numbers(first, nines, people)[name], abs=1e-6)
        assert got.challenger == pytest.approx(numbers(second, right, people)[name], abs=1e-6)
        steps = [
            numbers(second, right, each)[name] - numbers(first, nines, each)[name] for each in draws
        ]
        assert (got.low, got.high) == pytest.approx(np.percentile(steps, [2.5, 97.5]), abs=1e-5)
    assert (found.cases, found.patients) == (12, 6)


def test_the_same_shift_everywhere_has_an_interval_of_no_width():
    found = compare(as_scored(errors()), as_scored(errors(moved_mm=0.25)), RULE, {})
    shift = line(found, "median_mm")
    assert (shift.difference, shift.low, shift.high) == pytest.approx((0.25,) * 3)
    assert shift.verdict == WORSE  # 0.25 mm is within the margin, and certain
    assert found.verdict == WORSE
    back = compare(as_scored(errors(moved_mm=0.25)), as_scored(errors()), RULE, {})
    assert (line(back, "median_mm").verdict, back.verdict, back.worse) == (BETTER, BETTER, ())


def test_equal_models_differ_in_nothing():
    found = compare(as_scored(errors(gross=3)), as_scored(errors(gross=3)), RULE, {})
    assert {(each.difference, each.low, each.high) for each in found.lines} == {(0.0, 0.0, 0.0)}
    assert found.verdict == NEITHER


def test_gross_errors_of_one_in_ten_more_as_the_binomial_says():
    many = replace(RULE, draws=4000)
    first, second = ({k: v[:1] for k, v in errors(200, gross=n).items()} for n in (0, 20))
    got = line(compare(as_scored(first), as_scored(second), many, {}), "gross_rate")
    reach = NormalDist().inv_cdf(0.975) * (0.1 * 0.9 / 200) ** 0.5
    assert (got.low, got.high) == pytest.approx((0.1 - reach, 0.1 + reach), abs=0.006)


def test_scans_of_one_patient_are_no_more_witnesses():
    twice = [{f"{case}{end}": v for case, v in errors(10, gross=n).items() for end in "ab"}
             for n in (1, 3)]  # fmt: skip
    owner = {case: case[:-1] for case in twice[0]}
    once = compare(as_scored(errors(10, gross=1)), as_scored(errors(10, gross=3)), RULE, {})
    pairs = compare(*(as_scored(each) for each in twice), RULE, owner)
    alone = compare(*(as_scored(each) for each in twice), RULE, {})
    assert line(pairs, "gross_rate") == line(once, "gross_rate")
    assert line(alone, "gross_rate").high < line(once, "gross_rate").high
    assert pairs.patients == 10


@pytest.mark.parametrize(
    ("count", "gross", "verdict"),
    [
        (100, 1, NEITHER),  # 0.5 points: chance, and within the margin of 2
        (10, 1, WORSE_BY_MARGIN),  # 5 points: chance may explain it, the margin does not wait
        (100, 10, WORSE),  # 5 points, and certain
        (1, 1, WORSE_BY_MARGIN),  # one patient has no interval at all
    ],
)
def test_what_is_worse(count, gross, verdict):
    found = compare(as_scored(errors(count)), as_scored(errors(count, gross=gross)), RULE, {})
    assert line(found, "gross_rate").verdict == verdict


def test_a_model_that_says_nothing_of_hard_scans_does_not_win():
    first = {**errors(38), "hard-1": (40.0, 41.0), "hard-2": (44.0, 45.0)}
    second = {**errors(38), "hard-1": (None, None), "hard-2": (None, None)}
    found = compare(as_scored(first), as_scored(second), RULE, {})
    assert line(found, "gross_rate").challenger == 0
    assert [each.measure for each in found.worse] == ["presence_right"]


def test_a_model_that_finds_nothing():
    nothing = as_scored(errors(5, silent=5))
    found = compare(as_scored(errors(5)), nothing, RULE, {})
    assert line(found, "median_mm").verdict == WORSE
    assert compare(nothing, as_scored(errors(5)), RULE, {}).verdict == BETTER
    neither = compare(nothing, nothing, RULE, {})
    assert [each.measure for each in neither.lines] == ["presence_right"]


def test_vertebrae_identified():
    names = errors()
    nine, eight = (scans(dict.fromkeys(names, count)) for count in (9, 8))
    found = compare(as_scored(names, nine), as_scored(names, eight), RULE, {})
    assert line(found, "id_rate").verdict == WORSE
    assert line_in_words(line(found, "id_rate")) == (
        "id rate 80.0 % instead of 90.0 % (worse, 95 % interval of the difference "
        "-10.0 points to -10.0 points)"
    )
    assert "id_rate" not in {
        each.measure for each in compare(as_scored(names), as_scored(names, nine), RULE, {}).lines
    }


def test_levels_that_only_the_challenger_answers_do_not_count():
    more = {case: (*values, 50.0) for case, values in errors().items()}
    found = compare(as_scored(errors()), as_scored(table(more, (*LEVELS, "L4"))), RULE, {})
    assert found.verdict == NEITHER
    assert found.remarks[0] == "not compared: L4, which only the challenger answers"


def test_the_order_of_rows_does_not_count():
    head, *rows = table(errors(gross=2)).splitlines()
    other = "\n".join([head, *sorted(rows, key=lambda row: row[::-1])])
    assert compare(as_scored(errors()), as_scored(other), RULE, {}) == compare(
        as_scored(errors()), as_scored(errors(gross=2)), RULE, {}
    )


NAMED = scans(dict.fromkeys(errors(), 9))
UNLIKE = [
    (table(errors(41)), "", r"1 test cases that the other lacks, and 0 lacking"),
    (table(errors(39)), "", r"0 test cases that the other lacks, and 1 lacking"),
    (table({k: v[:1] for k, v in errors().items()}), "", r"no answers for L3"),
    (table(errors()).replace(",5.0,", ",5.1,", 1), "",
     r"other truths of 1 levels of the same cases \(verse case-000 T12\)"),
    (table(errors()).replace("T12,True,", "T12,False,", 1), "", r"other truths of 1 levels"),
    ("\n".join(table(errors()).splitlines()[:-1]), "", r"other truths of 1 levels"),
    (table(errors()), scans(dict.fromkeys(errors(), 9), labelled=11), r"other counts of labels"),
    (table(errors()), scans({}), r"heights of single levels"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "named", "told"), UNLIKE)
def test_other_cases_are_refused_by_their_content(made, named, told):
    production = as_scored(errors(), NAMED)
    with pytest.raises(ModelError, match=f"{told}.*--rescore"):
        compare(production, as_scored(made, named or NAMED, "2"), RULE, {})


def test_other_images_are_refused_where_both_are_on_record():
    first, second = (replace(as_scored(errors()), inputs=made) for made in ("a", "b"))
    with pytest.raises(ModelError, match="images or data that have changed"):
        compare(first, second, RULE, {})
    assert compare(first, first, RULE, {}).remarks == ()
    (remark,) = compare(first, replace(second, inputs=""), RULE, {}).remarks
    assert "not on record" in remark


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("", "EmptyDataError"),
        ("a,b\n1,2\n", "no column group"),
        (table(errors()) + table(errors()).splitlines()[1], "a case twice"),
        (table(errors()).replace("True", "perhaps"), "ValueError|TypeError"),
    ],
)
def test_a_broken_table_is_one_line(made, told):
    with pytest.raises(ModelError, match=f"made up: found a table.*({told})"):
        as_scored(made)


def test_in_words():
    found = compare(as_scored(errors()), as_scored(errors(gross=8), version="2"), RULE, {})
    first, heads, *rows = comparison_in_words(found).splitlines()
    assert first == "40 test cases of 40 patients, the same of both"
    assert heads.split("  ")[0] == "measure"
    assert "production (1)" in heads
    assert "challenger (2)" in heads
    gross = next(row for row in rows if row.startswith("gross rate"))
    assert gross.endswith("  worse")
    assert "0.0 %" in gross
    assert "+10.0 points" in gross
    assert heads.index("verdict") == gross.index("worse")  # columns stand below each other
    kept = as_rows(found).splitlines()
    assert kept[0] == "measure,production,challenger,difference,low,high,verdict"
    assert kept[1].startswith("gross_rate,0.0,0.1,0.1,")
    assert "challenger_version,2" in kept
