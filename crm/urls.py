"""The map of every address; each app keeps its own part."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path

from crm import health, home
from crm.core.account_views import LogIn

urlpatterns = [
    path("", home.index, name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("login/", LogIn.as_view(), name="login"),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("", include("crm.core.urls")),
    path("v1/", include("customers.tracking_urls")),
    path("customers/", include("customers.urls")),
    path("segments/", include("customers.segment_urls")),
    path("insights/", include("customers.insights.urls")),
    path("recommendations/", include("recommendations.urls")),
    path("campaigns/", include("campaigns.urls")),
    path("", include("campaigns.public_urls")),
    path("inbox/", include("support.urls")),
    path("support/", include("support.report_urls")),
    path("assistant/", include("support.assistant_urls")),
    path("knowledge/", include("support.knowledge_urls")),
    path("", include("support.public_urls")),
    path("api/", include("crm.api_urls")),
    path("admin/", admin.site.urls),
]

handler404 = "crm.core.failures.not_found"
# 503 instead of 500 while PostgreSQL or Redis is away, also when a middleware was the one to notice.
handler500 = "crm.core.outage.server_error"

if settings.DEBUG:
    from django.contrib.staticfiles.urls import staticfiles_urlpatterns

    urlpatterns += staticfiles_urlpatterns()
