"""Pictures in files: what a command draws, as SVG or HTML.

Owns: the options `--svg` and `--html`, and files that are whole or unchanged.
Must not know: what is drawn.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console, RenderableType

from scheduler.cli.terminal import printable
from scheduler.core.errors import InvalidInputError

PICTURE_COLUMNS: Final = 100
_WEB_FONT: Final = re.compile(r"@font-face\s*\{[^}]*\}\s*")

SvgFile = Annotated[
    Path | None,
    typer.Option("--svg", metavar="FILE", help="Write the picture to this file as SVG, and replace the file."),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write the picture to this file as HTML, and replace the file."),
]


def write_pictures(draw: Callable[[int], RenderableType], *, title: str, svg: Path | None, html: Path | None) -> None:
    """Draw a picture of 100 columns, and write it to the given files.

    Raises:
        InvalidInputError: a file cannot be written. It is then as it was.
    """
    if svg is None and html is None:
        return
    console = Console(file=StringIO(), record=True, width=PICTURE_COLUMNS)
    console.print(draw(PICTURE_COLUMNS))
    if svg is not None:
        write_file(svg, _without_web_fonts(console.export_svg(title=printable(title), clear=False)))
    if html is not None:
        write_file(html, console.export_html(clear=False))


def _without_web_fonts(svg: str) -> str:
    """Remove the fonts that a viewer would load from another host: it would learn who looks at the picture."""
    styles, end, picture = svg.partition("</style>")
    return _WEB_FONT.sub("", styles) + end + picture


def write_file(path: Path, text: str) -> None:
    """Write a file under another name first, and then replace it; a device or pipe is written as it is.

    Raises:
        InvalidInputError: the file cannot be written. It is then as it was.
    """
    try:
        target = path.resolve()  # a link stays
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
            return
        partial = target.with_name(f".{target.name[:200]}.{os.getpid()}")
        try:
            partial.write_text(text, encoding="utf-8")
            if target.exists():
                partial.chmod(target.stat().st_mode)
            partial.replace(target)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidInputError(f"{path} cannot be written: {reason}") from None
