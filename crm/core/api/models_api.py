"""Model versions for partners who want to know what stands behind a score."""

from django.db.models import QuerySet
from rest_framework import mixins, serializers

from crm.core.api.views import PartnerViewSet
from crm.core.models import ModelVersion


class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    metrics = serializers.DictField(read_only=True)
    baseline = serializers.DictField(read_only=True)

    class Meta:
        model = ModelVersion
        fields = ["id", "task", "version", "state", "algorithm", "rows", "metrics", "baseline", "as_of", "trained_at", "promoted_at"]
        read_only_fields = fields


class ModelVersionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, PartnerViewSet):
    """Every training run, newest first."""

    serializer_class = ModelVersionSerializer
    scopes = {"GET": "models:read"}
    organisation_wide = True
    lookup_value_converter = "int"

    def rows(self) -> "QuerySet[ModelVersion]":
        return ModelVersion.objects.all()
