"""What a generator must answer with: a flat object of named texts and lists of texts, checked before anyone sees it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm.core.errors import CrmError

# Models like to wrap JSON in a code fence or a sentence; the first {...} that parses is the answer.
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
Value = str | tuple[str, ...]


class SchemaMismatch(CrmError):
    """The generator answered with something other than what was asked for."""

    code = "schema_mismatch"
    status = 502
    message = "The generator's answer did not have the agreed form."


@dataclass(frozen=True, slots=True)
class Field:
    """One member of the answer. max_length: characters of a text, or of each text of a list."""

    name: str
    description: str
    max_length: int
    is_list: bool = False
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Schema:
    """The agreed form of an answer."""

    name: str
    fields: tuple[Field, ...]

    def as_json_schema(self) -> dict[str, object]:
        """Return the form as JSON Schema, for servers that can hold a model to it and for the prompt."""
        text = {"type": "string"}
        return {
            "type": "object",
            "additionalProperties": False,
            "required": [field.name for field in self.fields if field.is_required],
            "properties": {
                field.name: {
                    "description": field.description,
                    **({"type": "array", "items": text} if field.is_list else {"maxLength": field.max_length, **text}),
                }
                for field in self.fields
            },
        }

    def parse(self, answer: str) -> dict[str, Value]:
        """Return the checked members of a model's raw answer. Raises SchemaMismatch naming what is wrong."""
        found = _OBJECT.search(answer)
        try:
            data = json.loads(found.group()) if found else None
        except json.JSONDecodeError as error:
            raise SchemaMismatch(f"The answer is not JSON: {error.msg} at character {error.pos}.") from None
        if not isinstance(data, dict):
            raise SchemaMismatch("The answer holds no JSON object.")
        return self.check(data)

    def check(self, data: Mapping[str, object]) -> dict[str, Value]:
        """Return the members with their whitespace trimmed; unknown ones are dropped. Raises SchemaMismatch."""
        checked: dict[str, Value] = {}
        for field in self.fields:
            value = data.get(field.name)
            if field.is_list:
                checked[field.name] = _texts(field, [] if value is None else value)
            else:
                checked[field.name] = _text(field, "" if value is None else value)
            if field.is_required and not checked[field.name]:
                raise SchemaMismatch(f"The answer lacks {field.name!r}.")
        return checked


def _text(field: Field, value: object) -> str:
    if not isinstance(value, str):
        raise SchemaMismatch(f"{field.name!r} is not a text.")
    value = value.strip()
    if len(value) > field.max_length:
        raise SchemaMismatch(f"{field.name!r} has {len(value)} characters, more than {field.max_length}.")
    return value


def _texts(field: Field, value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise SchemaMismatch(f"{field.name!r} is not a list.")
    return tuple(_text(field, item) for item in value)
