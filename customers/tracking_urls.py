"""Addresses of the tracking surface."""

urlpatterns: list = []
