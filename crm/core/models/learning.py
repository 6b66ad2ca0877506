"""The registry of trained models: every version, its figures, and which one serves."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ModelState(models.TextChoices):
    CANDIDATE = "candidate", _("Candidate")
    CHAMPION = "champion", _("Serving")
    RETIRED = "retired", _("Retired")
    FAILED = "failed", _("Failed")


class ModelVersion(models.Model):
    """One training run of one task that produced a model or a reason why not."""

    task = models.CharField(_("model"), max_length=40)
    version = models.PositiveIntegerField(_("version"))
    state = models.CharField(_("state"), max_length=12, choices=ModelState.choices, default=ModelState.CANDIDATE)
    algorithm = models.CharField(_("algorithm"), max_length=100, blank=True)
    data_hash = models.CharField(_("data hash"), max_length=64)
    rows = models.PositiveBigIntegerField(_("training rows"), default=0)
    metrics = models.JSONField(_("figures"), default=dict)
    baseline = models.JSONField(_("baseline figures"), default=dict)
    report = models.JSONField(default=dict)
    files = models.JSONField(default=dict, help_text="{file name: SHA-256}")
    path = models.CharField(max_length=200, blank=True, help_text="Folder under CRM_MODEL_DIR")
    as_of = models.DateTimeField(_("facts up to"))
    trained_at = models.DateTimeField(_("trained"))
    seconds = models.FloatField(_("seconds"), default=0)
    promoted_at = models.DateTimeField(_("promoted"), null=True, blank=True)
    notes = models.TextField(_("notes"), blank=True)

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        ordering = ["task", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["task", "version"], name="modelversion_unique"),
            models.UniqueConstraint(fields=["task"], condition=Q(state="champion"), name="modelversion_one_champion"),
        ]

    def __str__(self) -> str:
        return f"{self.task} v{self.version}"


class DriftReading(models.Model):
    """How far one input, or the score ("score"), of one version was from how it stood at training, in one week."""

    task = models.CharField(_("model"), max_length=40)
    version = models.PositiveIntegerField(_("version"))
    name = models.CharField(_("quantity"), max_length=60)
    week = models.DateField(_("week"), help_text=_("Its Monday"))
    index = models.FloatField(_("population stability index"))
    rows = models.PositiveBigIntegerField(_("rows"), default=0)
    measured_at = models.DateTimeField(_("measured"))

    class Meta:
        verbose_name = _("drift reading")
        verbose_name_plural = _("drift readings")
        ordering = ["task", "-week", "-index"]
        constraints = [models.UniqueConstraint(fields=["task", "version", "name", "week"], name="drift_once_a_week")]

    def __str__(self) -> str:
        return f"{self.task} v{self.version} {self.name}: {self.index:.3f}"
