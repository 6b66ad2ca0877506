"""Addresses recipients use: unsubscribe, click, open. No session, no cookie; the signed token is all they need."""

from django.urls import path

from campaigns import public_views

app_name = "campaigns-public"

urlpatterns = [
    path("u/<str:token>/", public_views.unsubscribe, name="unsubscribe"),
    path("e/c/<str:token>/", public_views.click, name="click"),
    path("e/o/<str:token>.gif", public_views.opened, name="open"),
]
