"""Promises about time: calendars of working hours, policies, and the clock of each conversation or ticket."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from support.models.conversation import Conversation, Priority, Team
from support.models.ticket import Ticket


class BusinessCalendar(models.Model):
    """Working hours. spans: {"0": [["08:00", "12:00"], ["13:30", "18:00"]], …}, 0 is Monday, in the calendar's own zone."""

    name = models.CharField(_("name"), max_length=60, unique=True)
    zone = models.CharField(_("time zone"), max_length=60, default="UTC", help_text=_("Such as Asia/Shanghai."))
    spans = models.JSONField(_("hours"), default=dict, help_text=_('By weekday, 0 is Monday: {"0": [["09:00", "12:00"], ["13:00", "18:00"]]}.'))
    holidays = models.JSONField(_("holidays"), default=list, blank=True, help_text=_('Days without hours: ["2026-10-01"].'))
    is_main = models.BooleanField(_("hours of the chat"), default=False, help_text=_("Says when visitors are told that nobody is there."))

    class Meta:
        verbose_name = _("calendar of working hours")
        verbose_name_plural = _("calendars of working hours")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["is_main"], condition=Q(is_main=True), name="calendar_one_main")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse hours the arithmetic cannot read."""
        from support import calendars as arithmetic

        try:
            arithmetic.of(self)
        except arithmetic.CalendarBad as error:
            raise ValidationError(error.text) from error


class Aim(models.TextChoices):
    FIRST_RESPONSE = "response", _("First answer")
    RESOLUTION = "solution", _("Solution")


class ServicePolicy(models.Model):
    """How quickly is promised. The first active policy, by `place`, whose team and priority fit is taken."""

    name = models.CharField(_("name"), max_length=60, unique=True)
    calendar = models.ForeignKey(BusinessCalendar, on_delete=models.PROTECT, related_name="policies", verbose_name=_("calendar"))
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("team"), help_text=_("Empty: all."))
    priority_from = models.PositiveSmallIntegerField(_("priority from"), choices=Priority.choices, default=Priority.LOW)
    first_response_minutes = models.PositiveIntegerField(_("first answer within minutes"), null=True, blank=True)
    resolution_minutes = models.PositiveIntegerField(_("solution within minutes"), null=True, blank=True)
    warn_minutes = models.PositiveIntegerField(_("warn minutes before"), default=15)
    place = models.PositiveSmallIntegerField(_("order"), default=10)
    is_active = models.BooleanField(_("in force"), default=True)
    is_demo = models.BooleanField(default=False, editable=False)

    class Meta:
        verbose_name = _("service level")
        verbose_name_plural = _("service levels")
        ordering = ["place", "id"]

    def __str__(self) -> str:
        return self.name


class ServiceTarget(models.Model):
    """One promise to one conversation or ticket. due_at is empty while the clock stands still for the customer."""

    policy = models.ForeignKey(ServicePolicy, on_delete=models.CASCADE, related_name="targets", verbose_name=_("service level"))
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, null=True, blank=True, related_name="targets", verbose_name=_("conversation"))
    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, null=True, blank=True, related_name="targets", verbose_name=_("ticket"))
    aim = models.CharField(_("aim"), max_length=8, choices=Aim.choices)
    started_at = models.DateTimeField(_("started"))
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    spent_seconds = models.PositiveIntegerField(_("seconds spent"), default=0)
    met_at = models.DateTimeField(_("done"), null=True, blank=True)
    warned_at = models.DateTimeField(_("warned"), null=True, blank=True)
    breached_at = models.DateTimeField(_("broken"), null=True, blank=True)
    followed = models.CharField(max_length=40, blank=True, editable=False, help_text="What the target was last computed from")

    class Meta:
        verbose_name = _("service clock")
        verbose_name_plural = _("service clocks")
        ordering = ["due_at", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(conversation__isnull=False) ^ Q(ticket__isnull=False), name="target_of_one_thing"),
            models.UniqueConstraint(fields=["conversation", "aim"], condition=Q(conversation__isnull=False), name="target_conversation_aim"),
            models.UniqueConstraint(fields=["ticket", "aim"], condition=Q(ticket__isnull=False), name="target_ticket_aim"),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(met_at=None), name="target_running")]

    def __str__(self) -> str:
        return f"{self.aim}: {self.due_at}"
