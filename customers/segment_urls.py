"""Addresses of the segment pages."""

from django.urls import path

from customers import segment_views

app_name = "segments"

urlpatterns = [
    path("", segment_views.index, name="list"),
    path("new/", segment_views.new, name="new"),
    path("preview/", segment_views.preview, name="preview"),
    path("<int:segment_id>/", segment_views.detail, name="detail"),
    path("<int:segment_id>/overlap/", segment_views.overlap, name="overlap"),
    path("<int:segment_id>/edit/", segment_views.edit, name="edit"),
    path("<int:segment_id>/delete/", segment_views.delete, name="delete"),
]
