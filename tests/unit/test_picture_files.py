"""Pictures in files: whole or unchanged, and nothing in them that a viewer would load or run."""

import os
import stat
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.text import Text

from scheduler.cli.picture_files import write_pictures
from scheduler.core.errors import InvalidInputError


def write(text: str = "a picture", *, svg: Path | None = None, html: Path | None = None) -> None:
    write_pictures(lambda _: Text(text, style="red"), title="A <title> & more", svg=svg, html=html)


def test_a_picture_in_both_formats_has_its_text_and_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")  # a wish about the terminal
    svg, html = tmp_path / "week.svg", tmp_path / "week.html"
    write("<script>○ ░A</script>", svg=svg, html=html)
    parsed = ET.fromstring(svg.read_text(encoding="utf-8"))  # noqa: S314  # a file of our own
    texts = "".join(parsed.itertext()).replace("\xa0", " ")
    assert "<script>○ ░A</script>" in texts
    assert "A <title> & more" in texts
    assert "&lt;script&gt;○ ░A&lt;/script&gt;" in html.read_text(encoding="utf-8")
    assert "#cc555a" in svg.read_text(encoding="utf-8")
    assert "color: #800000" in html.read_text(encoding="utf-8")
    assert sorted(tmp_path.iterdir()) == [html, svg]


def test_a_picture_loads_nothing_from_another_host(tmp_path: Path) -> None:
    svg, html = tmp_path / "week.svg", tmp_path / "week.html"
    write("@font-face{text}", svg=svg, html=html)
    for path in (svg, html):
        text = path.read_text(encoding="utf-8")
        assert not any(loading in text for loading in ('url("', "url('", "src=", "href=", "@import", "cdnjs"))
    assert "@font-face{text}" in svg.read_text(encoding="utf-8")


def test_a_file_is_replaced_and_keeps_its_mode_and_links(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    target, link = tmp_path / "shared" / "week.html", tmp_path / "week.html"
    target.write_text("an older picture")
    target.chmod(0o640)
    link.symlink_to(target)
    write(html=link)
    assert "a picture" in target.read_text(encoding="utf-8")
    assert (link.is_symlink(), stat.S_IMODE(target.stat().st_mode)) == (True, 0o640)
    assert list((tmp_path / "shared").iterdir()) == [target]


def test_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    write(html=pipe)
    assert b"a picture" in os.read(reader, 1 << 16)
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["", "missing/week.svg", "x" * 300, "a\0b"])
def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be written: ") as caught:
        write(svg=tmp_path / name)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_unchanged_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, text: str, encoding: str) -> None:
        path.write_bytes(text[:5].encode(encoding))
        raise OSError(28, "No space left on device")

    svg = tmp_path / "week.svg"
    svg.write_text("an older picture")
    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(InvalidInputError, match=r"week\.svg cannot be written: No space left on device"):
        write(svg=svg)
    assert (svg.read_text(), list(tmp_path.iterdir())) == ("an older picture", [svg])
