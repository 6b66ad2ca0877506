"""Addresses of the knowledge pages."""

from django.urls import path

from support import knowledge_views

app_name = "knowledge"
urlpatterns = [
    path("", knowledge_views.listing, name="list"),
    path("new/", knowledge_views.new, name="new"),
    path("publish/", knowledge_views.publish_all, name="publish-all"),
    path("<slug:slug>/", knowledge_views.edit, name="edit"),
    path("<slug:slug>/save/", knowledge_views.save, name="save"),
]
