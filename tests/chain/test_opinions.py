"""How much one network's words on a whole column weigh together."""

import pytest

from vertebra_ml.chain.opinions import INDEPENDENT, opinion_count, share


@pytest.mark.parametrize(
    ("candidates", "opinions"), [(0, 1), (1, 1), (3, 1.5), (5, 2), (17, 5), (24, 5)]
)
def test_one_word_counts_as_it_is_and_many_as_a_few(candidates: int, opinions: float) -> None:
    assert opinion_count(candidates) == pytest.approx(opinions)
    assert share(candidates) * max(1, candidates) == pytest.approx(opinions)


def test_a_word_is_worth_less_the_more_there_are_and_all_of_them_never_less() -> None:
    shares = [share(count) for count in range(1, 40)]
    together = [opinion_count(count) for count in range(1, 40)]
    assert shares == sorted(shares, reverse=True)
    assert together == sorted(together)
    assert together[-1] == INDEPENDENT
