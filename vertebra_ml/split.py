"""Patients into training, validation and test: seeded, never torn, each level seen in each part."""

import hashlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from vertebra_ml.errors import DatasetError

PARTS = ("train", "validation", "test")

ATTEMPTS = 200
"""Random orders tried before a split is called impossible; greedy dealing seldom needs a second."""


def split_patients(
    levels_of: Mapping[str, Collection[str]],
    shares: Mapping[str, float],
    levels: Sequence[str],
    seed: int,
    earlier: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return patient -> part, in the order of the parts.

    Each part gets its share of the patients, rounded by largest remainder and at least one. Seeded
    patients first secure each of ``levels`` in each part, the rarest level first (greedy set cover:
    of the patients that show it, the one that shows most of what the part still lacks); what is
    left is dealt in random order. The outcome depends on the seed and on the set of patients only,
    unless an ``earlier`` split is given: then whoever is in it stays where he is, so that a model
    trained before never meets its own patients in a later test part, and only the others are dealt.

    Parameters
    ----------
    levels_of : patient -> every level that one of the patient's scans shows.
    shares : part -> share of patients; they must sum to 1.
    levels : what each part must show.
    seed : of ``np.random.default_rng``.
    earlier : patient -> part of an earlier split; patients who are gone are passed over.

    Raises DatasetError where a part cannot get a patient or a level, naming both.
    """
    sizes = part_sizes(len(levels_of), shares)
    stay = {patient: part for patient, part in (earlier or {}).items() if patient in levels_of}
    if stay:
        return _join(stay, levels_of, sizes, levels, seed)
    rng = np.random.default_rng([seed, len(levels_of)])
    for attempt in range(1, ATTEMPTS + 1):
        order = [str(patient) for patient in rng.permutation(sorted(levels_of))]
        try:
            return _deal(order, levels_of, sizes, levels)
        except DatasetError:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError


def _deal(
    left: list[str],
    levels_of: Mapping[str, Collection[str]],
    sizes: Mapping[str, int],
    levels: Sequence[str],
) -> dict[str, str]:
    """Deal the patients ``left``, in their order, into parts of ``sizes``."""
    parts: dict[str, list[str]] = {part: [] for part in sizes}
    _secure(parts, left, levels_of, sizes, levels)
    for part, members in parts.items():
        take = sizes[part] - len(members)
        members += left[:take]
        left = left[take:]
    return _by_patient(parts)


def _join(
    stay: Mapping[str, str],
    levels_of: Mapping[str, Collection[str]],
    sizes: Mapping[str, int],
    levels: Sequence[str],
    seed: int,
) -> dict[str, str]:
    """Deal who is not in ``stay`` to the parts that lack a level, then to those that lack most."""
    parts = {part: sorted(p for p, own in stay.items() if own == part) for part in sizes}
    left = sorted(levels_of.keys() - stay.keys(), key=lambda patient: _lot(seed, patient))
    _secure(parts, left, levels_of, dict.fromkeys(sizes, len(levels_of)), levels)
    for patient in left:
        part = max(sizes, key=lambda name: (sizes[name] - len(parts[name])) / sizes[name])
        parts[part].append(patient)
    return _by_patient(parts)


def _lot(seed: int, patient: str) -> bytes:
    """Return a patient's own place in the queue: that of the others does not change it."""
    return hashlib.sha256(f"{seed} {patient}".encode()).digest()


def _by_patient(parts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {patient: part for part, members in parts.items() for patient in members}


def _secure(
    parts: Mapping[str, list[str]],
    left: list[str],
    levels_of: Mapping[str, Collection[str]],
    sizes: Mapping[str, int],
    levels: Sequence[str],
) -> None:
    """Move patients from ``left`` into the parts that do not show each of ``levels`` yet."""
    wanted = sorted(levels, key=lambda level: sum(level in seen for seen in levels_of.values()))
    for level in wanted:
        # Small parts choose first: a large one finds what it lacks among the rest anyway.
        for part in sorted(sizes, key=lambda name: sizes[name]):
            lacking = _lacking(parts[part], levels_of, levels)
            if level not in lacking:
                continue
            patient = _best(left, levels_of, level, lacking)
            if patient is None or len(parts[part]) >= sizes[part]:
                raise _impossible(part, level, levels_of, sizes)
            parts[part].append(patient)
            left.remove(patient)


def part_sizes(patients: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return part -> number of patients: shares rounded by largest remainder, each at least one.

    Raises DatasetError where the shares do not sum to 1 or there are fewer patients than parts.
    """
    if abs(sum(shares.values()) - 1) > 1e-6 or patients < len(shares):
        raise DatasetError(
            "split",
            found=f"{patients} patients and shares {dict(shares)}",
            expected=f"at least {len(shares)} patients and shares that sum to 1",
            fix="add scans or change the section split of params.yaml",
        )
    exact = {part: share * patients for part, share in shares.items()}
    sizes = {part: max(1, int(value)) for part, value in exact.items()}
    by_remainder = sorted(exact, key=lambda part: (int(exact[part]) - exact[part], part))
    for part in by_remainder[: max(0, patients - sum(sizes.values()))]:
        sizes[part] += 1
    while sum(sizes.values()) > patients:
        sizes[max(sizes, key=lambda part: (sizes[part], part))] -= 1
    return sizes


def leaks(rows: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return patient -> parts for every patient of (patient, part) ``rows`` in more than one."""
    parts: dict[str, set[str]] = {}
    for patient, part in rows:
        parts.setdefault(patient, set()).add(part)
    return {patient: tuple(sorted(seen)) for patient, seen in parts.items() if len(seen) > 1}


def _lacking(
    members: Sequence[str], levels_of: Mapping[str, Collection[str]], levels: Sequence[str]
) -> set[str]:
    return set(levels) - {level for patient in members for level in levels_of[patient]}


def _best(
    left: Sequence[str], levels_of: Mapping[str, Collection[str]], level: str, lacking: set[str]
) -> str | None:
    showing = [patient for patient in left if level in levels_of[patient]]
    return max(showing, key=lambda patient: len(lacking & set(levels_of[patient])), default=None)


def _impossible(
    part: str, level: str, levels_of: Mapping[str, Collection[str]], sizes: Mapping[str, int]
) -> DatasetError:
    showing = sum(level in seen for seen in levels_of.values())
    return DatasetError(
        "split",
        found=f"{level} in {showing} of {len(levels_of)} patients, none left for part {part}",
        expected=f"each level in each of {', '.join(f'{p} ({n})' for p, n in sizes.items())}",
        fix=f"add patients that show {level}, or take it out of split.levels; removing "
        "prepared/split.made.json, where there is one, deals all patients anew",
    )
