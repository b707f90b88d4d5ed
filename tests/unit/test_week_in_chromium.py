"""Page of a week in Chromium: its views by keyboard, its accessibility tree, light and dark, and print.

Debian's package `chromium` is the browser. Without it these tests are skipped; the rest of the page is tested by
`test_week_html`.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.cli.week_html import week_html
from support.chromium import BROWSER, Browser
from support.week_pages import ATTACK, sample

pytestmark = pytest.mark.skipif(BROWSER is None, reason="the program `chromium` is not installed")

VISIBLE = (
    "Array.from(document.querySelectorAll('section')).filter((part) => part.checkVisibility()).map((part) => part.id)"
)
SELECTED = "document.querySelector('[aria-selected=true]').textContent"
FOCUSED = "document.activeElement.textContent"
TABLES = "Array.from(document.querySelectorAll('table')).filter((table) => table.checkVisibility()).length"
CAPTION = "Array.from(document.querySelectorAll('caption')).find((text) => text.checkVisibility()).textContent"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("week") / "week.html"
    path.write_text(week_html(sample(name=ATTACK)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(tab: Browser, path: Path) -> Iterator[Browser]:
    """The page, freshly loaded; at the end it has made no error and broken no rule of its policy."""
    tab.show(path)
    yield tab
    assert tab.errors == []


def test_the_views_are_reached_by_keyboard(browser: Browser) -> None:
    assert browser.evaluate(VISIBLE) == ["view-week"]
    browser.press("Tab")
    assert browser.evaluate(FOCUSED) == "Week"
    for key, day in (("ArrowRight", 22), ("ArrowRight", 23), ("End", 28), ("ArrowLeft", 27)):
        browser.press(key)
        assert str(browser.evaluate(SELECTED)).endswith(str(day))
        assert browser.evaluate(FOCUSED) == browser.evaluate(SELECTED)
        assert browser.evaluate(VISIBLE) == [f"view-2027-03-{day}"]
    for key in ("Home", "ArrowLeft", "ArrowRight"):  # around the end and back
        browser.press(key)
    assert browser.evaluate(VISIBLE) == ["view-week"]
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.value") == "doctor"
    assert "by doctor" in browser.evaluate(CAPTION)
    browser.press("ArrowDown")
    assert "by resource" in browser.evaluate(CAPTION)
    assert browser.evaluate(TABLES) == 1
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.getAttribute('role')") == "region"


def test_the_focus_is_visible(browser: Browser) -> None:
    style = "getComputedStyle(document.activeElement)"
    browser.press("Tab")
    assert browser.evaluate(f"{style}.outlineStyle + ' ' + {style}.outlineWidth") == "solid 3px"


def test_the_accessibility_tree_has_tabs_and_a_table(browser: Browser) -> None:
    tree = browser.tree()
    assert ("tablist", "Views") in tree
    assert [name for role, name in tree if role == "tab"][:2] == ["Week", "Mon 22"]
    week = "Week: Monday 22 March to Sunday 28 March 2027"
    assert [name for role, name in tree if role == "tabpanel"] == [week]
    assert [name for role, name in tree if role == "table"] == [f"{week}, by doctor"]
    assert {name for role, name in tree if role == "columnheader"} >= {"Doctor", "Mon 22 Mar", "Sun 28 Mar"}
    assert [name for role, name in tree if role == "rowheader"] == [ATTACK, "Dr Away"]
    assert [name.strip() for role, name in tree if role == "radio"] == ["Doctors", "Resources"]
    texts = [name for role, name in tree if role == "StaticText"]
    assert any("booked: check-up" in text for text in texts)
    assert not any("●" in text for text in texts)


def test_light_dark_and_print_are_told_apart(browser: Browser) -> None:
    page = "getComputedStyle(document.body).backgroundColor"
    colours = []
    for kind, scheme in (("", "light"), ("", "dark"), ("print", "dark")):
        browser.media(kind=kind, scheme=scheme)
        colours.append(browser.evaluate(page))
    assert colours == ["rgb(255, 255, 255)", "rgb(23, 25, 28)", "rgb(255, 255, 255)"]
    assert browser.evaluate("getComputedStyle(document.getElementById('tabs')).display") == "none"
    assert len(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"]) > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser: Browser, scheme: str) -> None:
    browser.media(scheme=scheme)
    assert browser.evaluate(_CONTRAST) >= 4.5  # WCAG 2.2, 1.4.3


_CONTRAST = """(() => {
  const numbers = (colour) => (colour.match(/[0-9.]+/g) || []).map(Number);
  const light = ([red, green, blue]) => [red, green, blue].map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (part) => {
    const colour = numbers(getComputedStyle(part).backgroundColor);
    return colour.length === 3 || !part.parentElement ? colour : behind(part.parentElement);
  };
  return Math.min(...Array.from(document.querySelectorAll('a, li, p, td, th, caption, label, h1, h2')).map((part) => {
    const [high, low] = [light(numbers(getComputedStyle(part).color)), light(behind(part))].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  }));
})()"""


def test_the_policy_refuses_what_was_put_into_the_page(tab: Browser, path: Path) -> None:
    script = "document.title = 'changed'"
    more = f"<script>{script}</script><img src='data:,' onerror=\"{script}\"><p style='color: red'>x</p>"
    changed = path.with_name("changed.html")
    changed.write_text(path.read_text(encoding="utf-8").replace("</main>", f"{more}</main>"), encoding="utf-8")
    tab.show(changed)
    assert ATTACK in str(tab.evaluate("document.title"))
    refused = " ".join(tab.errors)
    assert all(refusal in refused for refusal in ("inline script", "inline event handler", "inline style", "data:,"))


def test_a_view_may_be_named_in_the_address(path: Path) -> None:
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    folder = f"--user-data-dir={path.parent / 'profile'}"
    address = f"{path.as_uri()}#view-2027-03-24"
    document = subprocess.run(
        [*command, folder, address], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert '<section id="view-2027-03-24" aria-labelledby="heading-2027-03-24" role="tabpanel">' in document
    assert '<section id="view-week" aria-labelledby="heading-week" role="tabpanel" hidden="">' in document
