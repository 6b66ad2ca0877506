"""Segments and their members."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from crm.core import clock, formats
from customers import tasks
from customers.admin.base import Fixed
from customers.models import (
    Segment,
    SegmentMembership,
)


@admin.register(Segment)
class SegmentAdmin(admin.ModelAdmin):
    """Rules are edited on the segment's page, which checks them; here they are only shown."""

    list_display = ("name", "description", "members_count", "evaluated_at", "created_by", "updated_at")
    list_filter = (("created_by", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("created_by",)
    search_fields = ("name", "description")
    readonly_fields = ("rule", "is_demo", "members_count", "evaluated_at", "version", "created_by", "created_at", "updated_at")
    actions = ("evaluate",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description=_("Evaluate the selected segments now"))
    def evaluate(self, request: HttpRequest, queryset: "QuerySet[Segment]") -> None:
        for segment_id in queryset.values_list("pk", flat=True):
            tasks.refresh_segment.delay(segment_id)
        self.message_user(request, _("The segments are being evaluated (%(at)s).") % {"at": formats.clock_time(clock.now())}, messages.SUCCESS)


@admin.register(SegmentMembership)
class SegmentMembershipAdmin(Fixed):
    list_display = ("customer", "segment", "entered_at", "left_at")
    list_filter = ("segment", ("left_at", admin.EmptyFieldListFilter))
    list_select_related = ("customer", "segment")
    search_fields = ("customer__name", "customer__email", "segment__name")
    date_hierarchy = "entered_at"
