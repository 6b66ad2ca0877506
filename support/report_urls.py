"""Addresses of the desk's figures."""

from django.urls import path

from support import report_views

app_name = "support-reports"
urlpatterns = [
    path("reports/", report_views.report, name="index"),
    path("reports/export/", report_views.export, name="export"),
]
