"""How much what one network says of a whole column is worth: its words are not independent."""

from typing import Final

INDEPENDENT: Final = 5.0
"""How many independent opinions the words of one network on one column are worth at most. A belief,
not a fit: on phantoms, which the network knows, any number does; on real columns whole stretches
are a level off together."""
ANOTHER: Final = 4.0
"""Candidates beyond the first that make one opinion more: a short column is seen in one small
picture, which misleads about all of it alike. Chosen on crops of phantoms: docs/decisions.md."""


def opinion_count(candidates: int) -> float:
    """Return how many independent opinions a network's words on so many candidates are worth.

    At least 1: also where there is no candidate, and nothing to share it among.
    """
    return min(INDEPENDENT, 1.0 + max(0, candidates - 1) / ANOTHER)


def share(candidates: int) -> float:
    """Return the weight, 0..1, of its word on each of so many candidates."""
    return opinion_count(candidates) / max(1, candidates)
