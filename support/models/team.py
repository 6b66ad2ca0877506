"""Who works together, who is at the desk, and who looks at what right now."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Source
from support.models.conversation import Conversation


class DeskState(models.Model):
    """A member of staff at the console: whether chats may be given to them by themselves, and which ones.

    languages, skills: empty lists mean every language and every intent. seen_at: the console's last sign of life.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="desk", verbose_name=_("member of staff"))
    is_available = models.BooleanField(_("takes chats"), default=False)
    languages = models.JSONField(_("languages"), default=list, blank=True, help_text=_("Codes such as en and zh-hans; empty: all."))
    skills = models.JSONField(_("intents"), default=list, blank=True, help_text=_("Keys of intents; empty: all."))
    seen_at = models.DateTimeField(_("last seen"), null=True, blank=True)
    last_assigned_at = models.DateTimeField(_("last given a chat"), null=True, blank=True)

    class Meta:
        verbose_name = _("place at the desk")
        verbose_name_plural = _("places at the desk")
        ordering = ["user"]

    def __str__(self) -> str:
        return str(self.user)

    def clean(self) -> None:
        """Refuse what is no list of words, and languages in which no conversation is held."""
        from support.language import LANGUAGES

        bad = [name for name in ("languages", "skills") if not _are_words(getattr(self, name))]
        if bad or not set(self.languages) <= set(LANGUAGES):
            raise ValidationError(dict.fromkeys(bad or ["languages"], _("That is not one of the choices.")))


def _are_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


class Presence(models.Model):
    """Somebody has a conversation open. A row older than presence.LASTS counts as gone."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="present", verbose_name=_("conversation"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("member of staff"))
    is_replying = models.BooleanField(_("is writing"), default=False)
    at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("viewer")
        verbose_name_plural = _("viewers")
        ordering = ["conversation", "user"]
        constraints = [models.UniqueConstraint(fields=["conversation", "user"], name="presence_unique")]
        indexes = [models.Index(fields=["at"], name="presence_at")]

    def __str__(self) -> str:
        return f"{self.user}: {self.conversation}"


class Draft(models.Model):
    """What somebody has begun to write and not sent, kept on the server so that another browser shows it too."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="drafts", verbose_name=_("conversation"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("member of staff"))
    text = models.TextField(_("text"))
    is_note = models.BooleanField(_("private note"), default=False)
    updated_at = models.DateTimeField(_("changed"))

    class Meta:
        verbose_name = _("draft")
        verbose_name_plural = _("drafts")
        ordering = ["-updated_at"]
        constraints = [models.UniqueConstraint(fields=["conversation", "user"], name="draft_unique")]

    def __str__(self) -> str:
        return self.text[:40]


class TeamSource(models.Model):
    """New conversations of the shop belong to the team."""

    team = models.ForeignKey("support.Team", on_delete=models.CASCADE, related_name="team_sources", verbose_name=_("team"))
    source = models.OneToOneField(Source, on_delete=models.CASCADE, related_name="team_source", verbose_name=_("shop"))

    class Meta:
        verbose_name = _("shop of a team")
        verbose_name_plural = _("shops of teams")

    def __str__(self) -> str:
        return f"{self.team}: {self.source}"
