"""Addresses of the recommendation pages."""

from django.urls import path

from recommendations import views

app_name = "recommendations"

urlpatterns = [
    path("", views.index, name="index"),
    path("customers/<int:customer_id>/panel/", views.customer_panel, name="customer-panel"),
    path("customers/<int:customer_id>/dismiss/", views.dismiss, name="dismiss"),
    path("rules/", views.add_rule, name="rule-add"),
    path("rules/<int:rule_id>/remove/", views.remove_rule, name="rule-remove"),
]
