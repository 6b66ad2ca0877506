"""A file somebody attached to a message: its bytes lie in the data folder, what may be done with them stands here."""

import secrets

from django.db import models
from django.utils.translation import gettext_lazy as _

from support.models.conversation import Conversation, Message


def new_key() -> str:
    """Return 128 random bits in hex: who knows the address may read the file, and nobody can guess it."""
    return secrets.token_hex(16)


class Attachment(models.Model):
    """An uploaded file. media_type: what its bytes are, never what the sender called them."""

    key = models.CharField(max_length=32, unique=True, default=new_key, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="attachments", verbose_name=_("conversation"))
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, blank=True, related_name="attachments", verbose_name=_("message"))
    name = models.CharField(_("name"), max_length=120)
    media_type = models.CharField(_("type"), max_length=40)
    size = models.PositiveIntegerField(_("bytes"))
    sha256 = models.CharField(max_length=64)
    by_visitor = models.BooleanField(_("from the visitor"), default=True)
    uploaded_at = models.DateTimeField(_("uploaded"))

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name
