"""Addresses of the insight pages."""

from django.urls import path

from customers.insights import views

app_name = "insights"

urlpatterns = [
    path("", views.index, name="index"),
    path("segment/", views.make_segment, name="segment"),
    path("<slug:name>/", views.page, name="page"),
]
