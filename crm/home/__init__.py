"""The landing page: what needs a person today, six figures, where customers stand."""

from crm.home.views import index

__all__ = ["index"]
