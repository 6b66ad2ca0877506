"""Documents that must not fall behind the code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("crm/core", "customers", "recommendations", "support", "campaigns")


@pytest.mark.parametrize("app", APPS)
def test_each_app_has_a_readme_that_names_its_events(app: str) -> None:
    readme = (ROOT / app / "README.md").read_text(encoding="utf-8")
    events = ROOT / app / "events.py"
    names = re.findall(r"^class (\w+)", events.read_text(encoding="utf-8"), re.MULTILINE) if events.exists() and app != "crm/core" else []

    assert [name for name in names if name not in readme] == []


def test_readme_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_make_target_has_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) & {"setup", "run", "seed", "test", "lint", "retrain", "bench"}

    assert targets == {"setup", "run", "seed", "test", "lint", "retrain", "bench"}
    assert {target for target in targets if not re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)} == set()
