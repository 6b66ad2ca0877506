"""Addresses of the import pages, below customers/import/ and in the customers namespace."""

from django.urls import path

from customers import import_views

urlpatterns = [
    path("", import_views.start, name="import"),
    path("<str:key>/columns/", import_views.columns, name="import-map"),
    path("jobs/<int:job_id>/", import_views.job, name="import-job"),
    path("jobs/<int:job_id>/undo/", import_views.undo, name="import-undo"),
]
