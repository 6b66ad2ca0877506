"""Addresses of the campaign pages."""

urlpatterns: list = []
app_name = "campaigns"
