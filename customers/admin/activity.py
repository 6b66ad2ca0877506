"""What shops sent: events, and calls that were refused."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from customers.admin.base import Fixed
from customers.models import (
    Activity,
    QuarantinedEvent,
)


@admin.register(Activity)
class ActivityAdmin(Fixed):
    list_display = ("name", "kind", "customer", "product", "source", "occurred_at", "received_at")
    list_filter = ("kind", "source")
    list_select_related = ("customer", "product", "source")
    search_fields = ("message_id__iexact", "name__istartswith", "customer__email__iexact")
    search_help_text = _("Message id, beginning of the event's name, or a customer's e-mail")
    date_hierarchy = "occurred_at"
    show_full_result_count = False


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(Fixed):
    list_display = ("code", "reason", "source", "message_id", "received_at")
    list_filter = ("code", "source")
    list_select_related = ("source",)
    search_fields = ("message_id", "reason", "payload")
    date_hierarchy = "received_at"
