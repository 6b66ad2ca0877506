"""Taking the demo shop out again, in one action and without touching anything a person added."""

from collections.abc import Callable
from typing import Any

from django.db import models, transaction

from campaigns.models import Campaign
from crm.core import demo_flag
from crm.core.models import Source, User
from crm.demo.logins import LOGINS
from customers.models import Category, Customer, Order, Product, Return, Review, Segment
from customers.models.activity import Activity
from recommendations.models import CustomerRecommendation, ProductRecommendation
from support.models import Article, CannedReply, Conversation, Macro, ServicePolicy, Ticket

Progress = Callable[[int, int, str], None]


def demo(progress: Progress) -> dict[str, int]:
    """Delete the demo source with everything that hangs on it; return rows removed per kind.

    Demo logins other than the administrator's go too; that one stays so that nobody is locked out, and its password
    should be changed. Shipped examples and articles stay where a person has edited them. Safe to run twice.
    """
    sources = Source.objects.filter(is_demo=True)
    # Children first: one DELETE per table instead of Django walking every relation in memory.
    steps: list[tuple[str, models.QuerySet[Any]]] = [
        ("campaigns", Campaign.objects.filter(is_demo=True)),
        ("tickets", Ticket.objects.filter(is_demo=True) | Ticket.objects.filter(conversation__is_demo=True)),
        ("conversations", Conversation.objects.filter(source__in=sources)),
        ("saved replies", CannedReply.objects.filter(is_demo=True)),
        ("macros", Macro.objects.filter(is_demo=True)),
        ("service levels", ServicePolicy.objects.filter(is_demo=True)),
        ("recommendations", CustomerRecommendation.objects.filter(customer__source__in=sources)),
        ("related products", ProductRecommendation.objects.filter(product__source__in=sources)),
        ("segments", Segment.objects.filter(is_demo=True, campaigns=None)),
        ("activities", Activity.objects.filter(source__in=sources)),
        ("reviews", Review.objects.filter(source__in=sources)),
        ("returns", Return.objects.filter(source__in=sources)),
        ("orders", Order.objects.filter(source__in=sources)),
        ("customers merged away", Customer.objects.filter(source__in=sources).exclude(merged_into=None)),
        ("customers", Customer.objects.filter(source__in=sources)),
        ("products", Product.objects.filter(source__in=sources)),
        ("categories", Category.objects.filter(products=None, children=None)),
        ("departments", Category.objects.filter(products=None, children=None)),
        ("articles", Article.objects.filter(is_demo=True)),
        ("logins", User.objects.filter(username__in=[login.username for login in LOGINS if login.role != "admin"])),
        ("sources", sources),
    ]
    removed: dict[str, int] = {}
    for number, (name, rows) in enumerate(steps):
        progress(number, len(steps), name)
        with transaction.atomic():
            if name == "logins":
                # Their names stay in the audit trail, so the accounts are closed rather than deleted.
                removed[name] = rows.filter(is_active=True).update(is_active=False)
            else:
                removed[name] = rows.delete()[0] if rows.exists() else 0
    demo_flag.forget()
    progress(len(steps), len(steps), "done")
    return removed
