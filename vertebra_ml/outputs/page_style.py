"""How the page of a case looks, on a screen of any width and on A4."""

from typing import Final

STYLE: Final = """
:root { --ink: #1a1a1a; --faint: #5c5c5c; --line: #d8d8d8; --accent: #0072b2; --doubt: #d55e00; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1.6rem 1.5rem 3rem; color: var(--ink);
  background: #fff; font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.8rem 0 .6rem; }
.lead { font-size: 1.15rem; margin: .3rem 0 .5rem; }
.notice, .small, figcaption { color: var(--faint); font-size: .87rem; margin: .3rem 0; }
.small { max-width: 52rem; }
.warning { border-left: 5px solid var(--doubt); background: #fdf3ec; padding: .5rem 1rem;
  margin: 1.1rem 0 0; }
.warning h2 { margin: 0; color: #a84a00; font-size: 1rem; }
.warning ul { margin: .2rem 0; padding-left: 1.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem 1.1rem .4rem 0; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; vertical-align: top; }
th { font-weight: 600; font-size: .87rem; border-bottom: 2px solid var(--ink); }
th small { display: block; color: var(--faint); font-weight: 400; min-height: 1.2em; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
td:first-child { font-weight: 600; }
.absent td { color: var(--faint); }
figure { margin: 0; }
img { max-width: 100%; height: auto; display: block; }
.slices { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: 1rem;
  align-items: start; }
.slices img { width: 100%; }
.slices.many { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
footer { border-top: 1px solid var(--line); margin-top: 2rem; }
.facts { font-size: .87rem; margin: 0; display: grid; gap: .25rem 1.2rem;
  grid-template-columns: max-content 1fr max-content 1fr; }
.facts dt { color: var(--faint); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 44rem) { .facts { grid-template-columns: max-content 1fr; } }
@media (max-width: 30rem) { .slices { grid-template-columns: 1fr; } }
@media print { body { max-width: none; padding: 0; font-size: 9pt; }
  h1 { font-size: 15pt; } .lead { font-size: 10.5pt; margin: .1rem 0; }
  h2 { break-after: avoid; font-size: 10.5pt; margin: .6rem 0 .2rem; }
  .warning h2 { font-size: 9.5pt; }
  .notice, .small, figcaption, .facts { font-size: 7.5pt; margin: .1rem 0; }
  .small { max-width: none; } .warning { margin-top: .4rem; padding: .2rem .8rem; }
  .wide { overflow: visible; } table { font-size: 8.5pt; } th { font-size: 7.5pt; }
  th, td { padding: .18rem .7rem .18rem 0; }
  figure, tr, .warning, section, footer { break-inside: avoid; }
  figure > img { max-height: 68mm; width: auto; }
  .slices { display: flex; flex-wrap: wrap; gap: .5rem; } .slices img { width: auto; height: 68mm; }
  .slices.many img { height: 46mm; }
  footer { margin-top: .6rem; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  @page { size: A4; margin: 12mm; } }
"""
