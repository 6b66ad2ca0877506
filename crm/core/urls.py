"""Addresses of the shared pages: models, jobs, search, preferences, outbox."""

urlpatterns: list = []
app_name = "core"
