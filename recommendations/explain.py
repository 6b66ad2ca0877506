"""Why a product is on a list, as a fact (stored) and in words (made when a page is written)."""

from typing import TypedDict

from django.utils.translation import gettext as _


class Reason(TypedDict, total=False):
    """code: bought_with (with product_id) | popular | boosted."""

    code: str
    product_id: int


BOUGHT_WITH = "bought_with"
POPULAR = "popular"


def words(reason: Reason, names: dict[int, str]) -> str:
    """Return the reason as a phrase in the reader's language.

    names: product id -> name for at least the products that reasons mention; a product since deleted is left unnamed.
    """
    if reason.get("code") == BOUGHT_WITH:
        name = names.get(reason.get("product_id", 0))
        return _("Often bought with %(product)s") % {"product": name} if name else _("Goes with earlier purchases")
    return _("Popular with customers now")


def mentioned(reasons: list[Reason]) -> set[int]:
    """Return the ids of products that reasons speak of, so that their names are read in one query."""
    return {reason["product_id"] for reason in reasons if "product_id" in reason}
