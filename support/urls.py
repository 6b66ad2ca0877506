"""Addresses of the inbox."""

urlpatterns: list = []
app_name = "support"
