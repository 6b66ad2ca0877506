"""Addresses recipients use: unsubscribe, click, open."""

urlpatterns: list = []
