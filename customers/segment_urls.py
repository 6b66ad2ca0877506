"""Addresses of the segment pages."""

urlpatterns: list = []
app_name = "segments"
