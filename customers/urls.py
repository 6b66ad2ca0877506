"""Addresses of the customer pages."""

urlpatterns: list = []
app_name = "customers"
