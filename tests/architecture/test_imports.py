"""The import rule holds, and its check fails when someone breaks it."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("crm", "customers", "campaigns", "recommendations", "support")
LINT = Path(sys.executable).with_name("lint-imports")


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(LINT), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy_of_project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.csv", "*.md"))
    return tmp_path


def test_the_import_rule_holds() -> None:
    result = run(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("crm/core/money.py", "import customers.models"),
        ("customers/timeline.py", "import support.models"),
        ("recommendations/ranking.py", "import support.conversations"),
        ("support/triage.py", "import customers.views"),
        ("customers/consent.py", "import customers.tasks"),
    ],
)
def test_a_planted_violation_is_found(copy_of_project: Path, module: str, line: str) -> None:
    target = copy_of_project / module
    target.write_text(f"{target.read_text(encoding='utf-8')}\n\n{line}\n", encoding="utf-8")

    result = run(copy_of_project)

    assert result.returncode != 0
    assert "BROKEN" in result.stdout


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count: they hide a circle, they do not open it. Those for the type checker alone do not."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    # Take away, again and again, whatever imports nothing that is left: what stays hangs on a circle.
    left = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while free := {module for module, imported in left.items() if not imported & left.keys()}:
        left = {module: imported for module, imported in left.items() if module not in free}
    # And, from the other end, whatever nobody left imports.
    while unasked := left.keys() - set().union(*left.values()):
        left = {module: imported for module, imported in left.items() if module not in unasked}

    assert sorted(left) == []
