"""The kernel's tables for operators: staff, sources, keys, jobs, models, the audit trail."""

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.core import audit, clock, formats, jobs
from crm.core.models import ApiKey, AuditEntry, DriftReading, IdempotencyRecord, Job, ModelVersion, SavedView, Source, User


class _Fixed(admin.ModelAdmin):
    """Rows that programs write: nobody adds or edits them by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ("username", "first_name", "last_name", "email", "role", "is_active", "is_staff", "last_login")
    list_filter = ("role", "is_active", "is_staff", "is_superuser", "locale")
    fieldsets = (*DjangoUserAdmin.fieldsets, (_("Work"), {"fields": ("role", "locale", "theme", "chat_capacity")}))
    add_fieldsets = (*DjangoUserAdmin.add_fieldsets, (_("Work"), {"fields": ("email", "role")}))
    actions = ("deactivate",)

    @admin.action(description=_("Deactivate the selected accounts"))
    def deactivate(self, request: HttpRequest, queryset: "QuerySet[User]") -> None:
        # Never oneself: an administrator who ticks every row must still be able to undo it.
        changed = queryset.exclude(pk=request.user.pk).filter(is_active=True)
        for user in changed:
            audit.record(actor=request.user, action="user.deactivate", target=user)  # type: ignore[arg-type]
        count = changed.update(is_active=False)
        self.message_user(request, ngettext("%(count)s account deactivated.", "%(count)s accounts deactivated.", count) % {"count": count}, messages.SUCCESS)


@admin.register(Source)
class SourceAdmin(admin.ModelAdmin):
    list_display = ("name", "write_key", "locale", "currency", "is_active", "is_demo", "created_at")
    list_filter = ("is_active", "is_demo", "currency")
    search_fields = ("name", "write_key")
    readonly_fields = ("write_key", "is_demo", "created_at")
    fieldsets = (
        (None, {"fields": ("name", "write_key", "allowed_origins", "is_active")}),
        (_("Shop"), {"fields": ("locale", "currency", "brand_colour", "identity_secret", "is_demo", "created_at")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Source | None = None) -> tuple[object, ...]:
        if obj is not None:
            return self.fieldsets
        return ((None, {"fields": ("name", "allowed_origins", "locale", "currency", "brand_colour", "is_active")}),)

    def save_model(self, request: HttpRequest, obj: Source, form: object, change: bool) -> None:
        if not change:
            from django.utils.crypto import get_random_string

            # 32 letters and digits are 190 bits; the key is public but must not be guessed.
            obj.write_key = f"wk_{get_random_string(32)}"
        super().save_model(request, obj, form, change)  # type: ignore[arg-type]
        audit.record(actor=request.user, action="source.change" if change else "source.create", target=obj)  # type: ignore[arg-type]


@admin.register(ApiKey)
class ApiKeyAdmin(_Fixed):
    """Keys are made by `manage.py create_api_key`, which shows the secret once; here they are seen and revoked."""

    list_display = ("name", "prefix", "scope_list", "expires_at", "revoked_at", "last_used_at", "created_by")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("created_by",)
    search_fields = ("name", "prefix")
    actions = ("revoke",)
    fields = ("name", "prefix", "scopes", "sources", "expires_at", "revoked_at", "last_used_at", "created_by", "created_at")

    @admin.display(description=_("scopes"))
    def scope_list(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.action(description=_("Revoke the selected keys"), permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: "QuerySet[ApiKey]") -> None:
        live = queryset.filter(revoked_at=None)
        for key in live:
            audit.record(actor=request.user, action="api_key.revoke", target=key)  # type: ignore[arg-type]
        count = live.update(revoked_at=clock.now())
        self.message_user(request, ngettext("%(count)s key revoked.", "%(count)s keys revoked.", count) % {"count": count}, messages.SUCCESS)


@admin.register(Job)
class JobAdmin(_Fixed):
    list_display = ("title", "kind", "state", "progress", "message", "created_by", "created_at", "finished_at")
    list_filter = ("state", "kind")
    list_select_related = ("created_by",)
    search_fields = ("title", "message", "error")
    date_hierarchy = "created_at"
    actions = ("ask_to_stop",)

    @admin.display(description=_("progress"))
    def progress(self, job: Job) -> str:
        return formats.percent(job.done / job.total) if job.total else formats.number(job.done)

    @admin.action(description=_("Ask the selected jobs to stop"), permissions=["view"])
    def ask_to_stop(self, request: HttpRequest, queryset: "QuerySet[Job]") -> None:
        stopped = 0
        for job in queryset:
            if jobs.request_cancel(job.pk):
                audit.record(actor=request.user, action="job.cancel", target=job)  # type: ignore[arg-type]
                stopped += 1
        self.message_user(
            request, ngettext("%(count)s job was asked to stop.", "%(count)s jobs were asked to stop.", stopped) % {"count": stopped}, messages.SUCCESS
        )


@admin.register(ModelVersion)
class ModelVersionAdmin(_Fixed):
    """Promotion and roll back are on the model's page, where the figures stand beside the button."""

    list_display = ("task", "version", "state", "algorithm", "rows", "as_of", "trained_at", "seconds", "promoted_at")
    list_filter = ("task", "state")
    search_fields = ("task", "algorithm", "notes", "data_hash")
    date_hierarchy = "trained_at"

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(_Fixed):
    list_display = ("at", "actor_label", "action", "target_type", "target_label")
    list_filter = ("action", "target_type")
    search_fields = ("actor_label", "action", "target_label", "target_id")
    date_hierarchy = "at"
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(SavedView)
class SavedViewAdmin(admin.ModelAdmin):
    list_display = ("name", "page", "owner", "is_shared", "created_at")
    list_filter = ("page", "is_shared")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username", "query")
    autocomplete_fields = ("owner",)


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(_Fixed):
    list_display = ("key", "api_key", "method", "path", "status", "created_at")
    list_filter = ("method", "status")
    list_select_related = ("api_key",)
    search_fields = ("key", "path")
    date_hierarchy = "created_at"
    fields = ("key", "api_key", "method", "path", "status", "headers", "created_at")


@admin.register(DriftReading)
class DriftReadingAdmin(_Fixed):
    list_display = ("task", "version", "name", "week", "index", "rows", "measured_at")
    list_filter = ("task",)
    show_full_result_count = False
