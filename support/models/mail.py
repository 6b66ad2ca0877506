"""Mails that carried what staff wrote to a visitor who had left."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from support.models.conversation import Conversation


class MailState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")


class ConversationMail(models.Model):
    """One mail to the visitor with the lines numbered from from_seq to upto_seq; its Message-ID stays the same with every attempt."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="mails", verbose_name=_("conversation"))
    message_id = models.CharField(_("message id"), max_length=200, unique=True)
    to = models.EmailField(_("recipient"))
    from_seq = models.PositiveIntegerField(_("from number"))
    upto_seq = models.PositiveIntegerField(_("up to number"))
    state = models.CharField(_("state"), max_length=7, choices=MailState.choices, default=MailState.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_at = models.DateTimeField(_("next attempt"))
    error = models.CharField(_("last failure"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("written"))
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        verbose_name = _("mail to a visitor")
        verbose_name_plural = _("mails to visitors")
        ordering = ["id"]
        indexes = [models.Index(fields=["next_at"], condition=models.Q(state="waiting"), name="mail_waiting")]

    def __str__(self) -> str:
        return self.message_id
