"""The audit trail: who changed what, when; rows are only ever added."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEntry(models.Model):
    """One staff or partner action that changed something."""

    at = models.DateTimeField(_("at"), db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("by"))
    actor_label = models.CharField(_("by (name)"), max_length=150, help_text=_("Kept even if the account is renamed; 'key:…' for an API key."))
    action = models.CharField(_("action"), max_length=64, help_text=_("Dotted code such as campaign.send"))
    target_type = models.CharField(_("kind"), max_length=64, blank=True)
    target_id = models.CharField(_("id"), max_length=64, blank=True)
    target_label = models.CharField(_("what"), max_length=200, blank=True)
    data = models.JSONField(_("details"), default=dict, blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit trail")
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["target_type", "target_id", "-at"], name="audit_target"),
            models.Index(fields=["action", "-at"], name="audit_action"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_label}".strip()
