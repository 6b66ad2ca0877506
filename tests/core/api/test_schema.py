"""The committed OpenAPI schema is the one the code makes."""

from pathlib import Path

import yaml
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "openapi.yaml"


def test_committed_schema_has_not_drifted() -> None:
    made = SchemaGenerator().get_schema(request=None, public=True)

    # Through YAML, so that tuples and lazy strings compare as the plain text they become.
    assert yaml.safe_load(yaml.safe_dump(_plain(made))) == yaml.safe_load(COMMITTED.read_text(encoding="utf-8")), "run: make schema"


def test_schema_is_valid_openapi() -> None:
    validate_schema(SchemaGenerator().get_schema(request=None, public=True))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, int | float | bool | type(None)) else str(value)
