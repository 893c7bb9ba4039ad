"""The page of the monitor: one self-contained HTML file, readable alone, offline, on paper."""

from collections import Counter
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.monitor.columns import WORDED
from vertebra_ml.monitor.drift import QUANTILES, Shift
from vertebra_ml.monitor.judge import DRIFT, FINE, Judgement
from vertebra_ml.report.cells import grid
from vertebra_ml.report.style import STYLE

BARS: Final = 16
WIDTH, HEIGHT = 220, 44  # px of a small picture
TOP_WORDS: Final = 4
COLOURS: Final = {"before": "#b8b8b8", "now": "#0072b2"}
MORE_STYLE: Final = """
.tile.bad { border-top-color: #d55e00; } .tile.good { border-top-color: #009e73; }
td.bad { color: #b34700; font-weight: 600; } td svg { display: block; }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; }
.words td, .words th { white-space: normal; }
"""


def page(judgement: Judgement, title: str) -> str:
    """Return the page as text."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{MORE_STYLE}</style></head>"
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_period(judgement))}</p>",
        _tiles(judgement),
        _reasons(judgement),
        "<h2>Columns, largest shift first</h2>",
        _columns(judgement.shifts),
        "<h2>Expectations</h2>",
        _expectations(judgement),
        "<h2>Requests</h2>",
        _outcomes(judgement),
    ]
    return head + "<body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _period(judgement: Judgement) -> str:
    table = judgement.requests.table
    if not len(table):
        return "The log holds no request."
    kinds = ", ".join(f"{n} {form}" for form, n in Counter(table["form"].dropna()).items())
    return (
        f"{len(table)} requests from {table['time'].iloc[0]} to {table['time'].iloc[-1]} ({kinds}) "
        f"beside {len(judgement.reference)} rows of scans like those the model was trained on."
    )


def _tiles(judgement: Judgement) -> str:
    table = judgement.requests.table
    share = table["refused"].mean() if len(table) else 0.0
    moved = sum(shift.drifted for shift in judgement.shifts)
    unmet = sum(not held.met for held in judgement.held)
    kind = {DRIFT: "bad", FINE: "good"}.get(judgement.verdict, "")
    tiles = [
        ("verdict", judgement.verdict, f"from {judgement.least} requests on", kind),
        ("requests", str(len(table)), f"{judgement.requests.unreadable} lines unreadable", ""),
        ("refused", f"{share:.1%}", f"{int(table['refused'].sum())} requests", ""),
        ("columns that moved", str(moved), f"of {len(judgement.shifts)}", ""),
        ("expectations not met", str(unmet), f"of {len(judgement.held)}", ""),
    ]
    drawn = "".join(
        f'<div class="tile {kind}"><span>{escape(name)}</span><b>{escape(value)}</b>'
        f"<span>{escape(below)}</span></div>"
        for name, value, below, kind in tiles
    )
    return f'<div class="tiles">{drawn}</div>'


def _reasons(judgement: Judgement) -> str:
    if not judgement.reasons:
        return ""
    lines = "".join(f"<li>{escape(reason)}</li>" for reason in judgement.reasons)
    return f'<div class="note">Look at these first:<ul>{lines}</ul></div>'


def _columns(shifts: tuple[Shift, ...]) -> str:
    if not shifts:
        return "<p>None was compared.</p>"
    heads = ["", "of", "reference", "now", "", "requests", "stability index", "chance", ""]
    rows = [
        [
            escape(WORDED[shift.column]),
            shift.form or "answers",
            _span(shift.before),
            _span(shift.now),
            _picture(shift),
            str(len(shift.now)),
            f"{shift.index:.2f}",
            f"{shift.chance:.2g}",
            "moved" if shift.drifted else "",
        ]
        for shift in shifts
    ]
    key = "".join(
        f'<span style="background:{COLOURS[name]}"></span>{word}'
        for name, word in (("before", "reference"), ("now", "now"))
    )
    low, middle, high = (f"{q:.0%}" for q in QUANTILES)
    return (
        grid(heads, rows).replace("<td>moved</td>", '<td class="bad">moved</td>')
        + f'<p class="key">{key}</p><p>Numbers are the {middle} quantile and, small, '
        f"those of {low} and {high}. Moved: the population stability index is large, and the "
        "chance that both come from the same source is small, by Kolmogorov and Smirnov's test or "
        "chi square.</p>"
    )


def _span(values: NDArray[Any]) -> str:
    if values.dtype.kind != "f":
        common = Counter(values).most_common(TOP_WORDS)
        return escape(", ".join(f"{word} {n / len(values):.0%}" for word, n in common))
    low, middle, high = np.quantile(values, QUANTILES)
    return f"{middle:.4g}<small>{low:.4g}–{high:.4g}</small>"


def _picture(shift: Shift) -> str:
    """Draw both distributions as bars, the reference behind."""
    counts = _shares(shift)
    peak = max(float(each.max()) for each in counts) or 1.0
    step = WIDTH / len(counts[0])
    bars = [
        f'<rect x="{i * step + place * step / 2:.1f}" y="{HEIGHT - share / peak * HEIGHT:.1f}" '
        f'width="{step / 2 - 0.5:.1f}" height="{share / peak * HEIGHT:.1f}" fill="{colour}"/>'
        for place, (shares, colour) in enumerate(zip(counts, COLOURS.values(), strict=True))
        for i, share in enumerate(shares)
        if share
    ]
    label = f"{WORDED[shift.column]}: reference and now"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(bars)}</svg>"
    )


def _shares(shift: Shift) -> list[NDArray[np.float64]]:
    if shift.before.dtype.kind != "f":
        words = sorted({*shift.before, *shift.now})
        return [
            np.array([(values == word).mean() for word in words])
            for values in (shift.before, shift.now)
        ]
    both = np.concatenate([shift.before, shift.now])
    low, high = float(both.min()), float(both.max())
    edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    return [np.histogram(values, edges)[0] / len(values) for values in (shift.before, shift.now)]


def _expectations(judgement: Judgement) -> str:
    if not judgement.held:
        return "<p>None was asked.</p>"
    rows = [
        [escape(h.says), escape(h.allows), escape(h.seen), "" if h.met else "not met"]
        for h in judgement.held
    ]
    table = grid(["what is expected", "allowed", "seen", ""], rows)
    return table.replace("<td>not met</td>", '<td class="bad">not met</td>')


def _outcomes(judgement: Judgement) -> str:
    table = judgement.requests.table
    rows = [
        [
            escape(f"{model} version {version or '-'}"),
            escape(outcome),
            str(n),
            f"{n / len(table):.1%}",
        ]
        for (model, version, outcome), n in sorted(
            Counter(zip(table["model"], table["version"], table["outcome"], strict=True)).items()
        )
    ]
    return grid(["model and version", "outcome", "requests", "share"], rows)
