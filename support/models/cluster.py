"""Groups of visitors' questions that got no answer: candidates for a new intent or a missing article."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ClusterState(models.TextChoices):
    OPEN = "open", _("Open")
    ACCEPTED = "accepted", _("Taken up")
    DISMISSED = "dismissed", _("Dismissed")


class ClusterKind(models.TextChoices):
    INTENT = "intent", _("New intent?")
    ARTICLE = "article", _("Missing article?")


class QuestionCluster(models.Model):
    """One group. title: its most central message. message_ids: all of them, most central first.

    kind: 'intent' where most of them fit no known intent, 'article' where the intent is known and nothing answers it.
    """

    kind = models.CharField(_("kind"), max_length=8, choices=ClusterKind.choices)
    state = models.CharField(_("state"), max_length=10, choices=ClusterState.choices, default=ClusterState.OPEN)
    title = models.CharField(_("most typical message"), max_length=200)
    intent = models.CharField(_("intent"), max_length=60, blank=True)
    language = models.CharField(_("language"), max_length=16)
    size = models.PositiveIntegerField(_("messages"))
    message_ids = models.JSONField(default=list)
    found_at = models.DateTimeField(_("found"))

    class Meta:
        verbose_name = _("group of questions")
        verbose_name_plural = _("groups of questions")
        ordering = ["-size", "id"]

    def __str__(self) -> str:
        return self.title
