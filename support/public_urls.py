"""Addresses visitors use: the widget's frame and doors, and public articles."""

from django.urls import path

from support import file_views, widget

urlpatterns = [
    path("w/<str:key>/", widget.frame_page, name="widget"),
    path("widget/api/token", widget.token, name="widget-token"),
    path("widget/api/since", widget.since, name="widget-since"),
    path("widget/api/send", widget.send, name="widget-send"),
    path("widget/api/act", widget.act, name="widget-act"),
    path("widget/api/file", file_views.visitor_file, name="widget-file"),
    path("files/<str:key>/", file_views.give, name="file"),
    path("help/<slug:slug>/", widget.article_page, name="help-article"),
]
