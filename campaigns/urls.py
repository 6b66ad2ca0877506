"""Addresses of the campaign pages."""

from django.urls import path

from campaigns import views

app_name = "campaigns"

urlpatterns = [
    path("", views.index, name="list"),
    path("new/", views.new, name="new"),
    path("<int:campaign_id>/", views.report, name="detail"),
    path("<int:campaign_id>/edit/", views.edit, name="edit"),
    path("<int:campaign_id>/audience/", views.audience, name="audience"),
    path("<int:campaign_id>/preview/", views.preview, name="preview"),
    path("<int:campaign_id>/preview/frame/", views.preview_frame, name="preview-frame"),
    path("<int:campaign_id>/drafts/", views.drafts, name="drafts"),
    path("<int:campaign_id>/approve/<str:language>/", views.approve, name="approve"),
    path("<int:campaign_id>/test/", views.send_test, name="test"),
    path("<int:campaign_id>/confirm/", views.confirm, name="confirm"),
    path("<int:campaign_id>/send/", views.send, name="send"),
    path("<int:campaign_id>/stop/", views.stop, name="stop"),
    path("<int:campaign_id>/resume/", views.resume, name="resume"),
    path("<int:campaign_id>/duplicate/", views.duplicate, name="duplicate"),
    path("<int:campaign_id>/delete/", views.delete, name="delete"),
    path("<int:campaign_id>/recipients/", views.recipients, name="recipients"),
    path("<int:campaign_id>/recipients/<int:customer_id>/", views.recipient, name="recipient"),
    path("drafts/<int:draft_id>/use/", views.use_draft, name="use-draft"),
    path("drafts/<int:draft_id>/dismiss/", views.dismiss_draft, name="dismiss-draft"),
    path("customers/<int:customer_id>/", views.customer_panel, name="customer-panel"),
    path("segments/<int:segment_id>/", views.segment_panel, name="segment-panel"),
]
