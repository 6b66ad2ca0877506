"""Addresses of the partner API, its schema and its offline documentation page.

Every address works with and without a trailing slash and never redirects; the schema lists the plain form.
"""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny
from rest_framework.routers import SimpleRouter

from campaigns.api import CampaignViewSet
from crm.api_docs import docs_page
from crm.core.api.models_api import ModelVersionViewSet
from customers.api import ActivityViewSet, CustomerViewSet, OrderViewSet, ProductViewSet, SegmentViewSet
from recommendations.api import CustomerRecommendationViewSet, FeedbackViewSet, ProductRecommendationViewSet
from support.api import ConversationViewSet, TicketViewSet, WebhookViewSet

VIEWS = {
    "customers": CustomerViewSet,
    "orders": OrderViewSet,
    "products": ProductViewSet,
    "activity": ActivityViewSet,
    "segments": SegmentViewSet,
    "recommendations/customers": CustomerRecommendationViewSet,
    "recommendations/products": ProductRecommendationViewSet,
    "recommendations/feedback": FeedbackViewSet,
    "campaigns": CampaignViewSet,
    "conversations": ConversationViewSet,
    "tickets": TicketViewSet,
    "webhooks": WebhookViewSet,
    "models": ModelVersionViewSet,
}


def _router(*, trailing_slash: bool) -> SimpleRouter:
    router = SimpleRouter(trailing_slash=trailing_slash, use_regex_path=False)
    for prefix, view in VIEWS.items():
        router.register(prefix, view, basename=f"api-{prefix.replace('/', '-')}")
    return router


_schema = SpectacularAPIView.as_view(permission_classes=[AllowAny], authentication_classes=[], throttle_classes=[])

urlpatterns = [
    path("v1/", include(_router(trailing_slash=False).urls)),
    path("v1/", include((_router(trailing_slash=True).urls, "slashed"))),
    path("schema/", _schema, name="api-schema"),
    path("schema", _schema),
    path("docs/", docs_page, name="api-docs"),
    path("docs", docs_page),
]
