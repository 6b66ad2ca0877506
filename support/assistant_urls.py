"""Addresses of the pages about the assistant."""

from django.urls import path

from support import assist_views, assistant_views, file_views

app_name = "assistant"
urlpatterns = [
    path("", assistant_views.thresholds, name="thresholds"),
    path("choose/", assistant_views.choose_thresholds, name="choose"),
    path("label/", assistant_views.label_next, name="labelling"),
    path("label/<int:message_id>/", assistant_views.label, name="label"),
    path("conversations/<int:pk>/suggestion/", assist_views.suggestion, name="suggestion"),
    path("conversations/<int:pk>/suggestion/<int:suggestion_id>/dismiss/", assist_views.dismiss, name="dismiss"),
    path("conversations/<int:pk>/summary/", assist_views.summary, name="summary"),
    path("conversations/<int:pk>/file/", file_views.agent_file, name="file"),
    path("learning/", assistant_views.learning, name="learning"),
    path("learning/groups/", assistant_views.find_groups, name="find-groups"),
    path("learning/groups/<int:cluster_id>/", assistant_views.settle_group, name="group"),
]
