"""Keys with which programs reach us: write keys of shops (tracking, widget) and secret keys of partners."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _


class Source(models.Model):
    """One shop or site that sends facts and shows the widget. Its write key is public and can only write."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    write_key = models.CharField(_("write key"), max_length=64, unique=True)
    allowed_origins = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        verbose_name=_("allowed origins"),
        help_text=_("https://shop.example; used for browser events and the chat widget"),
    )
    locale = models.CharField(_("language"), max_length=16, default="en")
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    brand_colour = models.CharField(_("brand colour"), max_length=7, default="#1f4fd1")
    identity_secret = models.CharField(_("identity secret"), max_length=64, blank=True, help_text=_("Signs the visitor's identity in the widget"))
    is_active = models.BooleanField(_("active"), default=True)
    is_demo = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A partner's secret key: shown once, stored as prefix and SHA-256 (256 random bits need no slow hash)."""

    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("prefix"), max_length=12, unique=True)
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=40), default=list, verbose_name=_("scopes"))
    sources = models.ManyToManyField(Source, blank=True, related_name="api_keys", verbose_name=_("limited to sources"), help_text=_("Empty: every source"))
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotencyRecord(models.Model):
    """The stored answer to a partner's request, replayed when the same Idempotency-Key comes again within a day."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="idempotency_records")
    key = models.CharField(max_length=255)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=300)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.BinaryField(null=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("idempotency record")
        verbose_name_plural = _("idempotency records")
        constraints = [models.UniqueConstraint(fields=["api_key", "method", "path", "key"], name="idempotency_unique")]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
