"""The portrait as the partner API tells it: figures with intervals, exact reasons, and the words of the page."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from customers.ml.aspects import ASPECTS
from customers.models import Portrait
from customers.portrayal.card import PortraitCard
from customers.portrayal.statements import interval_level


class IntervalSerializer(serializers.Serializer[Any]):
    """The two ends between which `level` of such customers are meant to fall; null where the model gives none."""

    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class ReasonSerializer(serializers.Serializer[Any]):
    """One reason of the churn risk. points: its part of the probability; base + all points = the probability exactly."""

    code = serializers.CharField()
    text = serializers.CharField()
    points = serializers.FloatField()


class AspectSerializer(serializers.Serializer[Any]):
    """A side of a purchase that the person's reviews speak of. praise, blame: reviews that say so; quotes as written."""

    aspect = serializers.ChoiceField(choices=list(ASPECTS))
    praise = serializers.IntegerField()
    blame = serializers.IntegerField()
    praise_quotes = serializers.ListField(child=serializers.CharField())
    blame_quotes = serializers.ListField(child=serializers.CharField())


class IntentionSerializer(serializers.Serializer[Any]):
    """Of those who write like the person's newest review, the share that orders again within `days`; usual_share of all reviewers."""

    share = serializers.FloatField()
    usual_share = serializers.FloatField()
    days = serializers.IntegerField()
    clause = serializers.CharField()
    written_at = serializers.DateTimeField()
    version = serializers.IntegerField()


class PortraitSerializer(serializers.ModelSerializer[Portrait]):
    """What the models say of a customer; `versions` names the model behind each figure, 0 for a stated baseline.

    Texts (`paragraph`, `next_step`, texts of reasons) are in the language of the Accept-Language header.
    """

    customer = serializers.UUIDField(source="customer.public_id", read_only=True)
    stage_probabilities = serializers.DictField(child=serializers.FloatField(), read_only=True)
    expected_orders_90_interval = serializers.SerializerMethodField()
    value_365_interval = serializers.SerializerMethodField()
    interval_level = serializers.SerializerMethodField()
    churn_base = serializers.SerializerMethodField()
    churn_reasons = serializers.SerializerMethodField()
    tastes = serializers.DictField(read_only=True)
    changes = serializers.DictField(read_only=True)
    review_aspects = serializers.SerializerMethodField()
    purchase_intention = serializers.SerializerMethodField()
    paragraph = serializers.SerializerMethodField()
    next_step = serializers.SerializerMethodField()

    class Meta:
        model = Portrait
        fields = [
            "customer", "stage", "stage_probabilities", "rfm_group", "recency_score", "frequency_score", "monetary_score", "is_cold", "p_active", "p_churn",
            "churn_base", "churn_reasons", "p_purchase_30", "p_return", "expected_orders_30", "expected_orders_90", "expected_orders_90_interval",
            "expected_orders_365", "next_order_on", "value_30", "value_90", "value_365", "value_365_interval", "interval_level", "currency", "sentiment",
            "reviews_count", "review_aspects", "purchase_intention", "tastes", "changes", "paragraph", "next_step", "reasons", "versions", "as_of", "refreshed_at",
        ]  # fmt: skip
        read_only_fields = fields

    @property
    def card(self) -> PortraitCard:
        card: PortraitCard = self.context["card"]
        return card

    @extend_schema_field(IntervalSerializer)
    def get_expected_orders_90_interval(self, row: Portrait) -> dict[str, float | None]:
        return {"low": row.expected_orders_90_low, "high": row.expected_orders_90_high}

    @extend_schema_field(IntervalSerializer)
    def get_value_365_interval(self, row: Portrait) -> dict[str, float | None]:
        return {name: None if end is None else float(end) for name, end in (("low", row.value_365_low), ("high", row.value_365_high))}

    def get_interval_level(self, row: Portrait) -> float:
        return interval_level(row)

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_churn_base(self, _row: Portrait) -> float | None:
        return self.card.risk.base if self.card.risk else None

    @extend_schema_field(ReasonSerializer(many=True))
    def get_churn_reasons(self, _row: Portrait) -> list[dict[str, Any]]:
        return [{"code": step.code, "text": step.text, "points": step.points} for step in self.card.risk.steps] if self.card.risk else []

    @extend_schema_field(AspectSerializer(many=True))
    def get_review_aspects(self, _row: Portrait) -> Any:
        return AspectSerializer(self.card.reviews.aspects, many=True).data

    @extend_schema_field(IntentionSerializer(allow_null=True))
    def get_purchase_intention(self, _row: Portrait) -> Any:
        told = self.card.reviews.intention
        return IntentionSerializer(told).data if told else None

    def get_paragraph(self, _row: Portrait) -> str:
        return self.card.paragraph.text

    @extend_schema_field({"type": "object", "properties": {name: {"type": "string"} for name in ("code", "text", "why")}})
    def get_next_step(self, _row: Portrait) -> dict[str, str]:
        step = self.card.advice
        return {"code": step.code, "text": step.text, "why": step.why}
