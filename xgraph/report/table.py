"""Plain-text tables."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Rows under a header, columns two spaces apart; `align` has `<` or `>` for each column.

    An empty row becomes a rule.
    """
    widths = [
        max(len(row[column]) for row in (header, *rows) if row) for column in range(len(header))
    ]
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [_line(header, widths, align), rule]
    lines += [_line(row, widths, align) if row else rule for row in rows]
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], align: str) -> str:
    cells = (f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True))
    return "  ".join(cells).rstrip()


def bytes_text(count: int) -> str:
    """`count` bytes in the largest fitting unit, as 12.3 MiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def wrap_columns(words: Sequence[str], width: int = 78, indent: str = "  ") -> str:
    """Words on lines of at most `width` characters."""
    lines, line = [], indent
    for word in words:
        if len(line) + len(word) + 2 > width and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += word + "  "
    return "\n".join([*lines, line.rstrip()])
