"""Addresses of the recommendation pages."""

urlpatterns: list = []
app_name = "recommendations"
