"""What the page looks like, on screen and on paper."""

from typing import Final

STYLE: Final = """
:root { --ink: #1a1a1a; --faint: #5c5c5c; --line: #d8d8d8; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 2rem 1.5rem 4rem; color: var(--ink);
  background: #fff; font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p { max-width: 46rem; margin: .4rem 0; }
.note { border-left: 4px solid #d55e00; padding: .3rem .9rem; margin: 1rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: 1rem;
  margin: 1.4rem 0; }
.tile { border: 1px solid var(--line); border-top: 4px solid var(--accent); padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; font-weight: 600; }
.tile span { display: block; font-size: .85rem; color: var(--faint); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .4rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; vertical-align: top; }
th { white-space: normal; font-weight: 600; vertical-align: bottom;
  border-bottom: 2px solid var(--ink); }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
td small { display: block; color: var(--faint); }
.facts td { white-space: normal; overflow-wrap: anywhere; }
.facts td:first-child { white-space: nowrap; color: var(--faint); }
figure { margin: 0 0 1.4rem; }
img { max-width: 100%; height: auto; display: block; }
figcaption { font-size: .87rem; color: var(--faint); }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2 { break-after: avoid; }
  figure, .tile, tr { break-inside: avoid; } .wide { overflow: visible; }
  table { font-size: 6.5pt; } th, td { padding: .2rem .2rem; } @page { margin: 14mm; } }
"""

MORE_STYLE: Final = """
h1.model { border-top: 4px solid var(--ink); margin: 4rem 0 .4rem; padding-top: 1rem; }
div.long { white-space: normal; min-width: 13rem; text-align: left; }
@media print { h1.model { break-before: page; } }
"""
"""Of pages that compare models or name columns; the page of a single level stays as it was."""
