"""What agents say and do often: saved replies, macros, and who was called into a note."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from support.models.conversation import Message, Team


class CannedReply(models.Model):
    """A saved reply, found by typing / and its shortcut. texts: {"en": …, "zh-hans": …}, blanks as {customer}."""

    shortcut = models.SlugField(_("shortcut"), max_length=40, unique=True)
    title = models.CharField(_("title"), max_length=120)
    texts = models.JSONField(_("texts"), default=dict, help_text=_("One text per language; {customer}, {agent}, {shop}, {order} are filled in."))
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="canned", verbose_name=_("team"), help_text=_("Empty: for everybody.")
    )
    used_count = models.PositiveIntegerField(_("times used"), default=0, editable=False)
    is_demo = models.BooleanField(default=False, editable=False)

    class Meta:
        verbose_name = _("saved reply")
        verbose_name_plural = _("saved replies")
        ordering = ["shortcut"]

    def __str__(self) -> str:
        return self.title


class Macro(models.Model):
    """Several actions under one name, done together or not at all. actions: see support/macros.py."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    actions = models.JSONField(_("actions"), default=list, help_text=_('A list such as [{"do": "tag", "name": "vip"}, {"do": "close"}].'))
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="macros", verbose_name=_("team"), help_text=_("Empty: for everybody.")
    )
    is_demo = models.BooleanField(default=False, editable=False)

    class Meta:
        verbose_name = _("macro")
        verbose_name_plural = _("macros")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Mention(models.Model):
    """A colleague called into a private note with @name."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="mentions", verbose_name=_("message"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mentions", verbose_name=_("member of staff"))
    at = models.DateTimeField(_("at"))
    read_at = models.DateTimeField(_("read"), null=True, blank=True)

    class Meta:
        verbose_name = _("mention")
        verbose_name_plural = _("mentions")
        ordering = ["-at", "-id"]
        constraints = [models.UniqueConstraint(fields=["message", "user"], name="mention_unique")]
        indexes = [models.Index(fields=["user"], condition=models.Q(read_at=None), name="mention_unread")]

    def __str__(self) -> str:
        return f"@{self.user}"
