"""Addresses of the shared pages: models, jobs, search, the viewer's account and preferences."""

from django.urls import path

from crm.core import account_views, job_views, model_views, outbox_views, preferences, views

app_name = "core"

urlpatterns = [
    path("models/", model_views.index, name="models"),
    path("models/<slug:name>/", model_views.detail, name="model"),
    path("models/<slug:name>/retrain/", model_views.retrain, name="model-retrain"),
    path("models/<slug:name>/roll-back/", model_views.roll_back, name="model-roll-back"),
    path("models/<slug:name>/versions/<int:version>/promote/", model_views.promote, name="model-promote"),
    path("jobs/", job_views.index, name="jobs"),
    path("jobs/ring/", job_views.ring, name="jobs-ring"),
    path("jobs/<int:job_id>/", job_views.detail, name="job"),
    path("jobs/<int:job_id>/cancel/", job_views.cancel, name="job-cancel"),
    path("jobs/<int:job_id>/errors/", job_views.errors_file, name="job-errors"),
    path("outbox/", outbox_views.index, name="outbox"),
    path("outbox/<str:key>/", outbox_views.mail, name="outbox-mail"),
    path("outbox/<str:key>/reply/", outbox_views.reply, name="outbox-reply"),
    path("outbox/<str:key>/html/", outbox_views.mail_html, name="outbox-html"),
    path("search/", views.search_page, name="search"),
    path("account/", account_views.account, name="account"),
    path("account/password/", account_views.password, name="account-password"),
    path("preferences/", preferences.save, name="preferences"),
    path("demo/remove/", views.remove_demo, name="remove-demo"),
]
