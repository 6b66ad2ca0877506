"""What a chat leaves to be done."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from customers.models import Customer, Order
from support.models.conversation import Conversation


class TicketState(models.TextChoices):
    OPEN = "open", pgettext_lazy("ticket", "Open")
    PENDING = "pending", _("Waiting for the customer")
    SOLVED = "solved", _("Solved")


class TicketPriority(models.IntegerChoices):
    LOW = 1, _("Low")
    NORMAL = 2, _("Normal")
    HIGH = 3, _("High")
    URGENT = 4, _("Urgent")


class Ticket(models.Model):
    """A piece of work for an agent, opened from a conversation or by hand."""

    subject = models.CharField(_("subject"), max_length=200)
    body = models.TextField(_("description"), blank=True)
    customer = models.ForeignKey(Customer, on_delete=models.SET_NULL, null=True, blank=True, related_name="tickets", verbose_name=_("customer"))
    conversation = models.ForeignKey(Conversation, on_delete=models.SET_NULL, null=True, blank=True, related_name="tickets", verbose_name=_("conversation"))
    order = models.ForeignKey(Order, on_delete=models.SET_NULL, null=True, blank=True, related_name="tickets", verbose_name=_("order"))
    state = models.CharField(_("state"), max_length=8, choices=TicketState.choices, default=TicketState.OPEN)
    priority = models.PositiveSmallIntegerField(_("priority"), choices=TicketPriority.choices, default=TicketPriority.NORMAL)
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="tickets", verbose_name=_("assignee"))
    version = models.PositiveIntegerField(default=1, editable=False)
    is_demo = models.BooleanField(default=False, editable=False)
    opened_at = models.DateTimeField(_("opened"))
    solved_at = models.DateTimeField(_("solved"), null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        ordering = ["-opened_at", "-id"]
        indexes = [
            models.Index(fields=["state", "-priority", "opened_at"], name="ticket_work"),
            models.Index(fields=["customer", "-opened_at"], name="ticket_customer"),
        ]

    def __str__(self) -> str:
        return self.subject
