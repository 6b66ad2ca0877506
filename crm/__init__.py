"""Wiring on top, kernel (crm.core) at the bottom."""

from crm.celery import app as celery_app

__all__ = ["celery_app"]
