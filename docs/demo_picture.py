"""Draw `docs/demo.svg`, the picture of `waiaas demo` in the README: `python docs/demo_picture.py`.

The lines are what the command prints, with short ids and paths, and wrapped so that a telephone can show them. A dark
card is readable on a light page and on a dark one.
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from html import escape
from pathlib import Path

from waiaas import demo
from waiaas.cli.output import demo_lines

PICTURE = Path(__file__).with_name("demo.svg")
_COLUMNS = 50
_SESSIONS = 3
_FONT, _ADVANCE, _LINE, _MARGIN, _TITLE = 14, 8.43, 20, 16, 34
_SHORTER = (
    (re.compile(r"(session [0-9a-f]{8})-[0-9a-f-]{27}"), r"\1…"),
    (re.compile(r"/\S*/(?=wallets\.db)"), ""),
    # What differs from one run to the next.
    (re.compile(r"\d{8}T\d{6}Z"), "20260115T090000Z"),
    (re.compile(r"\d\.\d\d s"), "0.02 s"),
)
_COLOURS = (("$ ", "#7ee787"), ("  session ", "#a5d6ff"), ("  ", "#c9d1d9"))


def draw() -> str:
    """Return the picture of a run."""
    with tempfile.TemporaryDirectory() as folder:
        printed = demo_lines(demo.run(Path(folder) / "wallets.db"), kept_at=None)
    lines = ["$ waiaas demo", *(part for line in _fewer(printed) for part in _wrapped(_shorter(line)))]
    width, height = round(_COLUMNS * _ADVANCE) + 2 * _MARGIN, len(lines) * _LINE + _TITLE + _MARGIN
    rows = "\n".join(_row(line, _TITLE + (number + 1) * _LINE - 6) for number, line in enumerate(lines) if line)
    buttons = "".join(
        f'<circle cx="{_MARGIN + 6 + 18 * number}" cy="18" r="5" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>What waiaas demo prints</title>
<rect width="{width}" height="{height}" rx="8" fill="#161b22" stroke="#484f58"/>
{buttons}
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="{_FONT}">
{rows}
</g>
</svg>
"""


def _fewer(lines: list[str]) -> list[str]:
    """Leave the first sessions of each list, and count the others."""
    kept: list[str] = []
    skipped = 0
    for line in lines:
        if (
            line.startswith("  session ")
            and sum(each.startswith("  session ") for each in kept[-_SESSIONS:]) == _SESSIONS
        ):
            skipped += 1
        elif more := re.fullmatch(r"  … and (\d+) more", line):
            kept.append(f"  … and {int(more[1]) + skipped} more")
            skipped = 0
        else:
            kept.append(line)
    return kept


def _shorter(line: str) -> str:
    for pattern, short in _SHORTER:
        line = pattern.sub(short, line)
    return line


def _wrapped(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(line, _COLUMNS, subsequent_indent=f"{indent}  ", break_on_hyphens=False) or [""]


def _row(line: str, y: int) -> str:
    colour = next((colour for start, colour in _COLOURS if line.startswith(start)), "#f0f6fc")
    text = line.lstrip()
    x = round(_MARGIN + (len(line) - len(text)) * _ADVANCE, 1)
    return f'<text x="{x}" y="{y}" fill="{colour}">{escape(text, quote=False)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), "utf-8")
