"""What a chat leaves to be done."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from customers.models import Customer, Order
from support.models.conversation import Conversation, Priority, Tag, Team


class TicketState(models.TextChoices):
    OPEN = "open", pgettext_lazy("ticket", "Open")
    PENDING = "pending", _("Waiting for the customer")
    HOLD = "hold", _("Waiting for somebody else")
    SOLVED = "solved", _("Solved")
    MERGED = "merged", _("Merged")


# States somebody still has to do something about, and those a person may choose.
WORKED_ON = (TicketState.OPEN, TicketState.PENDING, TicketState.HOLD)
CHOSEN = (*WORKED_ON, TicketState.SOLVED)
TicketPriority = Priority


class Ticket(models.Model):
    """A piece of work for an agent, opened from a conversation or by hand.

    merged_into: the ticket that goes on in its place; its own rows stay, so that unmerging only takes this away.
    """

    subject = models.CharField(_("subject"), max_length=200)
    body = models.TextField(_("description"), blank=True)
    customer = models.ForeignKey(Customer, on_delete=models.SET_NULL, null=True, blank=True, related_name="tickets", verbose_name=_("customer"))
    conversation = models.ForeignKey(Conversation, on_delete=models.SET_NULL, null=True, blank=True, related_name="tickets", verbose_name=_("conversation"))
    orders = models.ManyToManyField(Order, related_name="tickets", blank=True, verbose_name=_("orders"))
    team = models.ForeignKey(
        Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="tickets", verbose_name=_("team"), help_text=_("Empty: for everybody.")
    )
    tags = models.ManyToManyField(Tag, related_name="tickets", blank=True, verbose_name=_("tags"))
    merged_into = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="merged", verbose_name=_("merged into"))
    state_before_merge = models.CharField(max_length=8, blank=True, editable=False)
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


class EntryKind(models.TextChoices):
    COMMENT = "comment", _("Comment")
    STATE = "state", _("State")
    PRIORITY = "priority", _("Priority")
    ASSIGNEE = "assignee", _("Assignee")
    ORDER = "order", _("Order")
    MERGE = "merge", _("Merged")
    UNMERGE = "unmerge", _("Taken apart")


class TicketEntry(models.Model):
    """One line of a ticket's history: what somebody wrote or changed."""

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="entries", verbose_name=_("ticket"))
    kind = models.CharField(_("kind"), max_length=8, choices=EntryKind.choices)
    text = models.TextField(_("text"), blank=True)
    data = models.JSONField(default=dict, blank=True, help_text="before and after, or the other ticket's number")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("by"))
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("ticket entry")
        verbose_name_plural = _("ticket entries")
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["ticket", "at"], name="ticketentry_ticket")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.text[:40]}"
