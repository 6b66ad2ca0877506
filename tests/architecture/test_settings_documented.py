"""Every environment variable the settings read is in .env.example and in docs/operations.md, and nothing else is."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READERS = {"choice", "currency", "raw", "text", "time_zone", "web_address", "required", "boolean", "integer", "number", "listing", "path"}
# Read by the PostgreSQL, Redis and make tooling rather than through a settings reader.
ELSEWHERE = {"PORT"}


def variables_read() -> set[str]:
    found: set[str] = set()
    for file in (ROOT / "crm" / "settings").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in READERS
                and getattr(node.func.value, "id", "") == "env"
            ):
                argument = node.args[0]
                if isinstance(argument, ast.Constant):
                    found.add(str(argument.value))
    return found


def variables_listed() -> set[str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return {line.lstrip("# ").split("=", 1)[0] for line in lines if "=" in line and not line.startswith("## ")}


def test_env_example_lists_exactly_what_the_settings_read() -> None:
    assert variables_listed() - ELSEWHERE == variables_read()


def test_operations_page_names_every_variable() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

    assert {name for name in variables_read() if name not in page} == set()
