"""Visitors' tokens that are worth nothing any more, although their hour is not over."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Source
from customers.models import Customer


class TokenRevocation(models.Model):
    """Tokens of the shop's chat issued before `at` are refused: one customer's, or everybody's. Nothing is lost by it but the proof."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="token_revocations", verbose_name=_("shop"))
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("customer"), help_text=_("Empty: everybody.")
    )
    at = models.DateTimeField(_("at"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("by"))

    class Meta:
        verbose_name = _("revocation of chat tokens")
        verbose_name_plural = _("revocations of chat tokens")
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["source", "at"], name="tokenrevocation_source")]

    def __str__(self) -> str:
        return f"{self.source}: {self.at:%Y-%m-%d %H:%M}"
