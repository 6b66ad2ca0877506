"""Names by which the outside world knows a customer."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from customers.models.customer import Customer


class IdentityKind(models.TextChoices):
    USER = "user", _("User id")
    ANONYMOUS = "anonymous", _("Browser id")
    EMAIL = "email", _("E-mail")
    PHONE = "phone", _("Phone")
    GROUP = "group", _("Group")


class Identity(models.Model):
    """One (kind, namespace, value) that leads to exactly one customer.

    namespace: the source's id for shop user ids and browser ids, '' for e-mail and phone, which mean the same everywhere.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="identities", verbose_name=_("customer"))
    kind = models.CharField(_("kind"), max_length=12, choices=IdentityKind.choices)
    namespace = models.CharField(_("namespace"), max_length=40, blank=True)
    value = models.CharField(_("value"), max_length=255)
    first_seen_at = models.DateTimeField(_("first seen"))

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        ordering = ["kind", "id"]
        constraints = [models.UniqueConstraint(fields=["kind", "namespace", "value"], name="identity_unique")]

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


class Merge(models.Model):
    """One joining of two people by a member of staff, with the rows that moved, so that it can be taken back.

    moved: {"customers.order": [ids…], …}; what an anonymous browser brings to its person is not listed here.
    """

    gone = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="merges_out", verbose_name=_("merged away"))
    kept = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="merges_in", verbose_name=_("kept"))
    moved = models.JSONField(_("moved rows"), default=dict)
    merged_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("merged by"))
    merged_at = models.DateTimeField(_("merged"))
    undone_at = models.DateTimeField(_("taken back"), null=True, blank=True)

    class Meta:
        verbose_name = _("merge")
        verbose_name_plural = _("merges")
        ordering = ["-merged_at", "-id"]

    def __str__(self) -> str:
        return f"{self.gone_id} → {self.kept_id}"
