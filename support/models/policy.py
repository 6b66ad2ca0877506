"""Thresholds of the assistant: what a person chose for one version of the intent model, kept with every earlier choice."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

_SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class PolicyChoice(models.Model):
    """The thresholds in force for a model version from `chosen_at` on. The newest row of a version counts.

    answer_from: least calibrated probability to answer. clarify_from: least probability of the three likeliest intents
    together to ask back. scope_from: least score of the out-of-scope gate to count as in scope.
    """

    version = models.PositiveIntegerField(_("model version"))
    answer_from = models.FloatField(_("answer from"), validators=_SHARE)
    clarify_from = models.FloatField(_("ask back from"), validators=_SHARE)
    scope_from = models.FloatField(_("in scope from"), validators=_SHARE)
    chosen_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("chosen by"))
    chosen_at = models.DateTimeField(_("chosen"))

    class Meta:
        verbose_name = _("assistant's thresholds")
        verbose_name_plural = _("assistant's thresholds")
        ordering = ["-chosen_at", "-id"]
        indexes = [models.Index(fields=["version", "-chosen_at"], name="policychoice_newest")]

    def __str__(self) -> str:
        return f"{self.version}: {self.answer_from:.2f} / {self.clarify_from:.2f} / {self.scope_from:.2f}"
