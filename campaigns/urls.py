"""Addresses of the campaign pages."""

from django.urls import path

from campaigns import editor_views, views

app_name = "campaigns"

urlpatterns = [
    path("", views.index, name="list"),
    path("new/", editor_views.new, name="new"),
    path("<int:campaign_id>/", views.report, name="detail"),
    path("<int:campaign_id>/edit/", editor_views.edit, name="edit"),
    path("<int:campaign_id>/audience/", editor_views.audience, name="audience"),
    path("<int:campaign_id>/preview/", editor_views.preview, name="preview"),
    path("<int:campaign_id>/preview/frame/", editor_views.preview_frame, name="preview-frame"),
    path("<int:campaign_id>/drafts/", editor_views.drafts, name="drafts"),
    path("<int:campaign_id>/approve/<str:language>/", editor_views.approve, name="approve"),
    path("<int:campaign_id>/test/", editor_views.send_test, name="test"),
    path("<int:campaign_id>/confirm/", views.confirm, name="confirm"),
    path("<int:campaign_id>/send/", views.send, name="send"),
    path("<int:campaign_id>/stop/", views.stop, name="stop"),
    path("<int:campaign_id>/resume/", views.resume, name="resume"),
    path("<int:campaign_id>/duplicate/", editor_views.duplicate, name="duplicate"),
    path("<int:campaign_id>/delete/", editor_views.delete, name="delete"),
    path("<int:campaign_id>/recipients/", views.recipients, name="recipients"),
    path("<int:campaign_id>/recipients/<int:customer_id>/", views.recipient, name="recipient"),
    path("drafts/<int:draft_id>/use/", editor_views.use_draft, name="use-draft"),
    path("drafts/<int:draft_id>/dismiss/", editor_views.dismiss_draft, name="dismiss-draft"),
    path("customers/<int:customer_id>/", views.customer_panel, name="customer-panel"),
    path("segments/<int:segment_id>/", views.segment_panel, name="segment-panel"),
]
