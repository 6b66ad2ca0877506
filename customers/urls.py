"""Addresses of the customer pages."""

from django.urls import include, path

from customers import offer_views, portrayal_views, views

app_name = "customers"

urlpatterns = [
    path("", views.index, name="list"),
    path("import/", include("customers.import_urls")),
    path("export/", views.export, name="export"),
    path("tag/", views.bulk, name="bulk"),
    path("views/", views.save_view, name="view-save"),
    path("views/<int:view_id>/", views.update_view, name="view-update"),
    path("views/<int:view_id>/delete/", views.delete_view, name="view-delete"),
    path("<int:customer_id>/", views.detail, name="detail"),
    path("<int:customer_id>/timeline/", views.history, name="timeline"),
    path("<int:customer_id>/edit/", views.edit, name="edit"),
    path("<int:customer_id>/who/", views.who, name="who"),
    path("<int:customer_id>/tags/", views.tags, name="tags"),
    path("<int:customer_id>/answer/", portrayal_views.answer, name="answer"),
    path("<int:customer_id>/profiling/", portrayal_views.profile, name="profiling"),
    path("<int:customer_id>/likely/", offer_views.likely, name="likely-panel"),
    path("<int:customer_id>/consents/", views.consents, name="consents"),
]
