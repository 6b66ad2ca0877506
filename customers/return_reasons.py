"""Why goods came back, in words."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

# Codes shops send; anything else is printed as it came.
_WORDS: Mapping[str, str | Promise] = {
    "size": gettext_lazy("wrong size"),
    "damaged": gettext_lazy("damaged"),
    "quality": gettext_lazy("poor quality"),
    "changed_mind": gettext_lazy("changed their mind"),
    "not_as_expected": gettext_lazy("not as expected"),
    "late": gettext_lazy("came too late"),
    "wrong_item": gettext_lazy("wrong article"),
}


def named(reason: str) -> str:
    """Return the reason in the active language; what no list knows stays as the shop wrote it."""
    return str(_WORDS.get(reason, reason))
