"""Names of products and departments in the reader's language, out of rows as the cursor gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _


def named(fallback: str, names: Any) -> str:
    """Return the translated name, the fallback where there is none, and words for the nameless. names: a JSON column."""
    language = get_language() or "en"
    # Django's own cursor gives JSON columns as text.
    names = json.loads(names) if isinstance(names, str) and names else names
    if isinstance(names, Mapping) and names:
        return str(names.get(language) or names.get("en") or fallback)
    return fallback or _("without category")
