"""Campaign drafts and results for partners. Sending stays with people."""

from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns.models import Campaign, CampaignText
from campaigns.models.campaign import CampaignState
from crm.core import audit
from crm.core.api.idempotency import idempotent
from crm.core.api.views import PartnerViewSet, check_match, etag
from crm.core.errors import Conflict, CrmError
from customers.models import Segment


class CampaignNotDraft(CrmError):
    code = "campaign_not_draft"
    status = 409
    message = "Only a draft can be changed."


class CampaignTextSerializer(serializers.ModelSerializer[CampaignText]):
    language = serializers.ChoiceField(choices=[("en", "English"), ("zh-hans", "Simplified Chinese")])

    class Meta:
        model = CampaignText
        fields = ["language", "subject", "body"]


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    """A campaign with its texts. `version` is the ETag's number; editing needs If-Match."""

    segment = serializers.PrimaryKeyRelatedField(queryset=Segment.objects.all(), allow_null=True, required=False)
    texts = CampaignTextSerializer(many=True, required=False)
    holdout_percent = serializers.IntegerField(min_value=0, max_value=50, required=False)
    attribution_days = serializers.IntegerField(min_value=1, max_value=90, required=False)

    class Meta:
        model = Campaign
        fields = [
            "id",
            "name",
            "goal",
            "segment",
            "channel",
            "state",
            "holdout_percent",
            "attribution_days",
            "with_recommendations",
            "texts",
            "version",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = ["channel", "state", "version", "created_at", "started_at", "finished_at"]

    def validate_texts(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        languages = [text["language"] for text in value]
        if len(languages) != len(set(languages)):
            raise serializers.ValidationError("Each language may appear once.")
        return value

    def create(self, validated_data: dict[str, Any]) -> Campaign:
        texts = validated_data.pop("texts", [])
        with transaction.atomic():
            campaign = Campaign.objects.create(**validated_data)
            _write_texts(campaign, texts)
        return campaign

    def update(self, instance: Campaign, validated_data: dict[str, Any]) -> Campaign:
        texts = validated_data.pop("texts", None)
        with transaction.atomic():
            seen = instance.version
            if not Campaign.objects.filter(pk=instance.pk, version=seen).update(version=seen + 1, **validated_data):
                raise Conflict
            if texts is not None:
                _write_texts(instance, texts)
        return Campaign.objects.prefetch_related("texts").get(pk=instance.pk)


class ResultsSerializer(serializers.Serializer[Any]):
    """Counts per state of the ledger, and reactions."""

    audience = serializers.IntegerField()
    sent = serializers.IntegerField()
    failed = serializers.IntegerField()
    unknown = serializers.IntegerField()
    skipped = serializers.IntegerField()
    holdout = serializers.IntegerField()
    opened = serializers.IntegerField()
    clicked = serializers.IntegerField()
    unsubscribed = serializers.IntegerField()
    orders = serializers.IntegerField()


class CampaignViewSet(mixins.ListModelMixin, PartnerViewSet):
    """Campaigns of the organisation."""

    serializer_class = CampaignSerializer
    scopes = {"GET": "campaigns:read", "POST": "campaigns:write", "PATCH": "campaigns:write"}
    organisation_wide = True
    lookup_value_converter = "int"

    def rows(self) -> "QuerySet[Campaign]":
        return Campaign.objects.select_related("segment").prefetch_related("texts")

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        campaign = self.get_object()
        return Response(self.get_serializer(campaign).data, headers={"ETag": etag(campaign.version)})

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Create a draft; a member of staff checks and sends it."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        campaign = serializer.save()
        audit.record(actor=None, actor_label=str(request.user), action="campaign.create", target=campaign)
        return Response(self.get_serializer(campaign).data, status=status.HTTP_201_CREATED, headers={"ETag": etag(campaign.version)})

    @transaction.atomic
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change a draft; If-Match is required so that two editors never overwrite each other."""
        campaign = self.get_locked_object()
        check_match(request, campaign.version, required=True)
        if campaign.state != CampaignState.DRAFT:
            raise CampaignNotDraft
        serializer = self.get_serializer(campaign, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        campaign = serializer.save()
        audit.record(actor=None, actor_label=str(request.user), action="campaign.change", target=campaign)
        return Response(self.get_serializer(campaign).data, headers={"ETag": etag(campaign.version)})

    @extend_schema(responses=ResultsSerializer)
    @action(detail=True, methods=["get"], url_path="results")
    def results(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What was sent and what came of it."""
        return Response(ResultsSerializer(_results(self.get_object())).data)


def _write_texts(campaign: Campaign, texts: list[dict[str, Any]]) -> None:
    for text in texts:
        CampaignText.objects.update_or_create(
            campaign=campaign, language=text["language"], defaults={"subject": text["subject"], "body": text["body"], "origin": "api", "is_approved": False}
        )


def _results(campaign: Campaign) -> dict[str, int]:
    def count(**where: Any) -> Count:
        return Count("pk", filter=Q(**where))

    return campaign.deliveries.aggregate(
        audience=Count("pk"),
        sent=count(state="sent"),
        failed=count(state="failed"),
        unknown=count(state="unknown"),
        skipped=count(state="skipped"),
        holdout=count(state="holdout"),
        opened=count(opened_at__isnull=False),
        clicked=count(clicked_at__isnull=False),
        unsubscribed=count(unsubscribed_at__isnull=False),
        orders=count(order__isnull=False, state="sent"),
    )
