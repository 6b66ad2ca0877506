"""Addresses visitors use: the widget."""

urlpatterns: list = []
