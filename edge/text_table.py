"""A table as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under their headings, numbers to the right, as wide as the content needs."""
    body = [[*row] for row in rows]
    widths = [max(len(row[i]) for row in ([*columns], *body)) for i in range(len(columns))]
    right = [all(_is_number(row[i]) for row in body) and bool(body) for i in range(len(columns))]
    lines = []
    for line in ([*columns], ["─" * width for width in widths], *body):
        cells = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell in {"–", ""}
