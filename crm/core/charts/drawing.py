"""SVG pieces shared by the charts.

Plots have no viewBox: across, places are percentages of whatever width the card has; down, they are pixels. Text
therefore keeps its size everywhere. Lines need a stretched inner viewBox, whose strokes are told not to scale.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

# Room above the highest gridline for its number, and below the plot for the labels, in pixels.
TOP, BOTTOM = 10, 24
PLOT_HEIGHT = 200
# Longest label drawn, in Latin letters; the full text stays in the tooltip and the table.
LABEL_WIDTH = 64
# Elements that close themselves when they hold nothing.
SHAPES = frozenset({"circle", "line", "polygon", "polyline", "rect"})


def tag(name: str, content: str = "", /, **attributes: object) -> SafeString:
    """Return one element; attribute values are escaped, `content` must be markup already (see `text`).

    Underscores become hyphens (`class_` is class) and None leaves an attribute out.
    """
    parts = [f' {key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"' for key, value in attributes.items() if value is not None]
    closing = "/>" if name in SHAPES and not content else f">{content}</{name}>"
    return mark_safe(f"<{name}{''.join(parts)}{closing}")  # noqa: S308 - attributes escaped, content is markup


def join(parts: Iterable[str]) -> SafeString:
    """Return markup pieces as one."""
    return mark_safe("".join(parts))  # noqa: S308 - every piece comes from `tag` or `tooltip`


def _written(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def across(share: float) -> str:
    """Return a horizontal place, 0 at the left and 1 at the right, as a percentage."""
    return f"{_written(100 * share)}%"


def tooltip(words: str) -> SafeString:
    return tag("title", escape(words))


def text(words: str, *, x: object, y: float, role: str | None = None, anchor: str | None = None, spare: bool = False) -> SafeString:
    """Return one line of text; `anchor` is middle or end, `spare` text is left out where the card is narrow."""
    return tag("text", escape(words), x=x, y=y, class_="plot-text", data_role=role, data_anchor=anchor, data_spare="" if spare else None)


def plot(kind: str, summary: str, height: float, content: str, *, gutter: str | None = None) -> SafeString:
    """Return the outer svg, read by a screen reader as its summary.

    gutter is s, m or l where `axis_number`s hang at its left (data.css holds the widths).
    """
    return tag("svg", content, class_="chart__plot", data_kind=kind, data_gutter=gutter, role="img", aria_label=summary, width="100%", height=height)


def axis_number(words: str, y: float) -> SafeString:
    """Return the number of a gridline, in the gutter left of the plot."""
    return text(words, x=-8, y=y + 4, anchor="end")


def stretched(content: str, *, top: float, height: float) -> SafeString:
    """Return a box of 100 by 100 units stretched over the plot, for lines and areas."""
    return tag("svg", content, y=top, width="100%", height=height, viewBox="0 0 100 100", preserveAspectRatio="none", overflow="visible")


def columns_of(words: str) -> int:
    """Return how many Latin letters wide the words are; a Han character counts two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in words)


def cut(words: str, width: int = LABEL_WIDTH) -> str:
    """Return the words, ended with an ellipsis where they are wider than `width` Latin letters."""
    if columns_of(words) <= width:
        return words
    kept, used = "", 0
    for letter in words:
        used += columns_of(letter)
        if used > width - 1:
            break
        kept += letter
    return kept.rstrip() + "…"


def clipped_label(words: str, *, y: float, share: float = 0.7) -> SafeString:
    """Return a row's label, cut off at `share` of the width so it never runs into the value on the right."""
    return tag("svg", text(cut(words), x=0, y=14, role="label"), y=y, width=across(share), height=20, overflow="hidden")


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Return round numbers that enclose low…high, about `wanted` of them."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    step = _round_step((high - low) / wanted)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def _round_step(raw: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten, at least `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)


def gutter_for(labels: Sequence[str]) -> str:
    """Return the gutter (s, m, l) that the widest axis number needs."""
    widest = max((columns_of(label) for label in labels), default=0)
    return "s" if widest <= 4 else "m" if widest <= 7 else "l"


def spread(count: int, wanted: int = 5) -> list[int]:
    """Return at most `wanted` indices of 0…count-1 in even steps, counted back from the last, which people ask for most."""
    step = max(math.ceil(count / wanted), 1)
    return list(range(count - 1, -1, -step))[::-1]
