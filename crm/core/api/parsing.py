"""JSON bodies of the partner API: bounded, UTF-8, and free of what cannot be stored or answered."""

import json
import re
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class BodyTooLarge(APIException):
    """Raised by the parser itself, and instead of Django's own refusal (see problems.handle), which is a page."""

    status_code = 413
    default_code = "body_too_large"

    def __init__(self) -> None:
        super().__init__(f"A request may have {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes.")


class BodyParser(BaseParser):
    """Takes the place of REST framework's JSONParser, which reads without end and lets deep nesting and halves of emoji
    through to where they fail."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Return the body as Python values. Raises ParseError (400) or BodyTooLarge (413)."""
        del media_type, parser_context
        body = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge
        try:
            text = body.decode("utf-8-sig")
            value = json.loads(text, parse_constant=_refuse)
            if _SURROGATE.search(text):
                # Pairs are fine; half of one can be neither stored nor sent back.
                json.dumps(value, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise ParseError(f"The body is not JSON: {error}.") from None
        except UnicodeEncodeError:
            raise ParseError("The body holds half of a surrogate pair.") from None
        except UnicodeDecodeError:
            raise ParseError("The body is not valid UTF-8.") from None
        except RecursionError:
            raise ParseError("The body is nested too deep.") from None
        except ValueError as error:
            raise ParseError(f"The body holds a number that cannot be read: {str(error)[:60]}.") from None
        return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)
