"""The style sheets keep their promises: contrast, tokens only, no escape hatches, a comment on every component."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHEETS = sorted(path for path in (ROOT / "static" / "css").glob("*.css") if path.name != "mail.css")
COMPONENTS = sorted((ROOT / "templates" / "components").glob("*.html"))
PAIR = re.compile(r"--(?P<name>[\w-]+): light-dark\((?P<light>#[0-9a-f]{6}), (?P<dark>#[0-9a-f]{6})\)")
SURFACES = ("bg", "surface", "surface-2")
TONES = ("success", "warning", "danger", "info", "ai")


@cache
def colours() -> dict[str, tuple[str, str]]:
    """Return each colour token's light and dark value."""
    source = (ROOT / "static" / "css" / "tokens.css").read_text(encoding="utf-8")
    found = {match["name"]: (match["light"], match["dark"]) for match in PAIR.finditer(source)}
    return found | {"accent": found["action"]}


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2) of #rrggbb."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_contrast_formula_gives_the_published_value() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


TEXT_PAIRS = [
    *((text, surface) for text in ("text", "text-2", "text-3", "accent") for surface in SURFACES),
    *((tone, f"{tone}-soft") for tone in TONES),
    *(("text", f"{tone}-soft") for tone in (*TONES, "accent")),
    *((tone, "surface") for tone in TONES),
    ("accent", "accent-soft"),
    ("on-accent", "accent"),
    ("on-danger", "danger"),
]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_reaches_four_and_a_half_to_one(text: str, ground: str, theme: int) -> None:
    assert contrast(colours()[text][theme], colours()[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("mark", ["line-strong", "accent", *(f"series-{number}" for number in range(1, 7))])
def test_controls_and_chart_marks_reach_three_to_one(mark: str, theme: int) -> None:
    assert all(contrast(colours()[mark][theme], colours()[surface][theme]) >= 3 for surface in SURFACES)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("step", range(1, 8))
def test_heat_cells_stay_readable_through_the_flip(step: int, theme: int) -> None:
    flips_at = 5 if theme else 6
    ink = colours()["heat-inverse" if step >= flips_at else "text"][theme]

    assert contrast(ink, colours()[f"heat-{step}"][theme]) >= 4.45


@pytest.mark.parametrize("sheet", [sheet for sheet in SHEETS if sheet.name != "tokens.css"], ids=lambda sheet: sheet.name)
def test_colours_are_written_in_the_tokens_only(sheet: Path) -> None:
    rules = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert re.findall(r":[^;{}]*?(#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|oklch)\()", rules) == []


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_every_variable_that_is_read_is_set_somewhere(sheet: Path) -> None:
    everything = "".join(each.read_text(encoding="utf-8") for each in SHEETS)
    defined = set(re.findall(r"(--[\w-]+)\s*:", everything))

    # A variable with a fallback may be unset; the admin's own come from Django.
    assert set(re.findall(r"var\((--[\w-]+)\)", sheet.read_text(encoding="utf-8"))) - defined == set()


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_nothing_shouts_except_the_reset(sheet: Path) -> None:
    assert sheet.read_text(encoding="utf-8").count("!important") == (1 if sheet.name == "base.css" else 0)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_every_component_opens_by_naming_its_variables(component: Path) -> None:
    opening = component.read_text(encoding="utf-8")[:700]

    assert opening.startswith(("{% comment %}", "{% extends", "{#"))
    assert re.search(r"[Vv]ariables|Blocks:", opening)
