"""What a merchandiser decides over the model's head: never this product, or this one earlier."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from crm.core import audit
from crm.core.errors import CrmError, NotFound
from crm.core.models import User
from customers.models import Product
from recommendations.models import RecommendationRule, RuleKind


class UnknownRule(CrmError):
    code = "unknown_rule"
    status = 400
    message = "A rule is either 'block' or 'boost'."


class NotSellable(CrmError):
    code = "not_sellable"
    status = 409
    message = _("This code is postage, a fee or an adjustment; it is never recommended anyway.")  # type: ignore[assignment]


def set_rule(*, product_id: int, kind: str, actor: User | None) -> RecommendationRule:
    """Block or boost a product, replacing the rule it had, and return the rule. Serving obeys it at once.

    Raises NotFound, NotSellable or UnknownRule; then nothing changes.
    """
    if kind not in RuleKind.values:
        raise UnknownRule(kind=kind)
    with transaction.atomic():
        product = Product.objects.filter(pk=product_id).first()
        if product is None:
            raise NotFound(str(_("There is no such product.")))
        if not product.is_goods:
            raise NotSellable(product_id=product_id)
        rule, is_new = RecommendationRule.objects.update_or_create(product=product, defaults={"kind": kind})
        audit.record(actor=actor, action=f"recommendation.{kind}", target=product, data={"rule_id": rule.pk, "is_new": is_new})
    return rule


def remove_rule(*, rule_id: int, actor: User | None) -> None:
    """Let the model decide again. Raises NotFound."""
    with transaction.atomic():
        rule = RecommendationRule.objects.select_related("product").filter(pk=rule_id).first()
        if rule is None:
            raise NotFound(str(_("There is no such rule.")))
        audit.record(actor=actor, action="recommendation.unrule", target=rule.product, data={"kind": rule.kind})
        rule.delete()
