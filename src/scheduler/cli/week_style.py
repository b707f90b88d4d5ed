"""Style and script of the page of a week, which the page carries inline.

Owns: colours, layout, print, and the keyboard of the tabs.
Must not know: what the page shows.

The colours of text have a contrast of 4.5 to 1 at least with what is behind them, light and dark.
"""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f2f4f7; --line: #8a939e; --focus: #0b57d0;
  --open: #e3f4e5; --held: #fff1c9; --booked: #dde8fb; --blocked: #fbe0de; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #17191c; --soft: #24272c; --line: #7d858f; --focus: #8ab4f8;
    --open: #17381d; --held: #453608; --booked: #1b3157; --blocked: #4f211e; } }
* { box-sizing: border-box; }
body { margin: 1rem; color: var(--ink); background: var(--paper); font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.15rem; margin: 1rem 0 .4rem; }
a { color: inherit; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
#tabs { display: flex; flex-wrap: wrap; gap: .4rem; margin: .8rem 0; }
#tabs a { padding: .3rem .7rem; border: 1px solid var(--line); border-radius: .3rem; text-decoration: none; }
#tabs a[aria-selected=true] { background: var(--ink); color: var(--paper); font-weight: 600; }
fieldset { display: inline-flex; gap: 1rem; border: 1px solid var(--line); border-radius: .3rem; padding: .1rem .7rem; }
fieldset[hidden], [hidden] { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1rem; padding: 0; list-style: none; }
.legend li { padding: 0 .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 100%; font-size: .875rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border: 1px solid var(--line); padding: .25rem .4rem; text-align: left; vertical-align: top; }
th { background: var(--soft); font-weight: 600; }
tbody th { white-space: nowrap; } tbody th small { display: block; font-weight: 400; }
td ul { margin: 0; padding: 0; list-style: none; }
td li { margin: 0 0 .15rem; padding: 0 .25rem; border-radius: .2rem; }
.sign { display: inline-block; width: 1.1em; }
.open { background: var(--open); } .held { background: var(--held); } .booked { background: var(--booked); }
.blocked { background: var(--blocked); } .outside { color: inherit; background: transparent; }
td.goes { text-align: center; }
.clock td { background: var(--soft); font-style: italic; }
.only-read { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #eee; --line: #666;
    --open: #e3f4e5; --held: #fff1c9; --booked: #dde8fb; --blocked: #fbe0de; }
  @page { size: landscape; margin: 12mm; }
  body { margin: 0; font-size: 9pt; } #tabs, fieldset { display: none; }
  .scroll { overflow: visible; } table { font-size: 8pt; }
  thead { display: table-header-group; } tr { break-inside: avoid; }
  section + section { break-before: page; }
  td li, td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

SCRIPT: Final = """
'use strict';
const strip = document.getElementById('tabs');
const tabs = Array.from(strip.querySelectorAll('a'));
const view = (tab) => document.getElementById(tab.hash.slice(1));
strip.setAttribute('role', 'tablist');
strip.setAttribute('aria-label', 'Views');
strip.parentElement.setAttribute('role', 'presentation');
for (const tab of tabs) {
  tab.setAttribute('role', 'tab');
  tab.setAttribute('aria-controls', tab.hash.slice(1));
  view(tab).setAttribute('role', 'tabpanel');
}
function select(chosen) {
  for (const tab of tabs) {
    tab.setAttribute('aria-selected', String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    view(tab).hidden = tab !== chosen;
  }
}
function fromAddress() { select(tabs.find((tab) => tab.hash === location.hash) || tabs[0]); }
strip.addEventListener('click', (event) => {
  const tab = event.target.closest('a');
  if (tab) { event.preventDefault(); select(tab); tab.focus(); }
});
strip.addEventListener('keydown', (event) => {
  const at = tabs.indexOf(document.activeElement);
  const last = tabs.length - 1;
  const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last, ' ': at };
  if (at < 0 || event.ctrlKey || event.altKey || event.metaKey || !(event.key in to)) { return; }
  event.preventDefault();
  select(tabs[to[event.key]]);
  tabs[to[event.key]].focus();
});
window.addEventListener('hashchange', fromAddress);
fromAddress();
const rows = document.getElementById('rows');
function choose() {
  const chosen = rows.querySelector('input:checked').value;
  for (const part of document.querySelectorAll('[data-rows]')) { part.hidden = part.dataset.rows !== chosen; }
}
if (rows) { rows.hidden = false; rows.addEventListener('change', choose); choose(); }
"""
