"""A small shop for the campaign tests: one segment of everyone with a tag, customers with and without consent, a mail sink."""

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import LazySettings

from campaigns.models import Campaign, CampaignText
from crm.core.models import Source, User
from customers import consent
from customers.models import Customer, Order, OrderLine, Product, Segment, SegmentMembership

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
_numbers = itertools.count(1)


@pytest.fixture
def source(db: None) -> Source:
    return Source.objects.create(name="Shop", write_key="key", allowed_origins=["https://shop.example"])


@pytest.fixture
def segment(db: None) -> Segment:
    """Everyone: an empty rule matches every person, so a refresh keeps exactly the customers a test made."""
    return Segment.objects.create(name="Everyone", description="All customers", rule={"op": "all", "rules": []})


@pytest.fixture
def make_customer(source: Source, segment: Segment) -> Callable[..., Customer]:
    """A function that makes a member of the segment; consent=False leaves out the permission."""

    def make(*, name: str = "", email: str | None = None, locale: str = "en", agreed: bool = True, **more: Any) -> Customer:
        number = next(_numbers)
        customer = Customer.objects.create(
            name=name or f"Ana Number{number}",
            email=f"ana{number}@people.example" if email is None else email,
            locale=locale,
            source=source,
            first_seen_at=NOW - timedelta(days=100),
            last_seen_at=NOW - timedelta(days=1),
            **more,
        )
        if agreed:
            consent.grant(customer_id=customer.pk, channel="email", origin="test", at=NOW - timedelta(days=50))
        SegmentMembership.objects.create(segment=segment, customer=customer, entered_at=NOW - timedelta(days=10))
        return customer

    return make


@pytest.fixture
def make_product(source: Source) -> Callable[..., Product]:
    def make(name: str = "Tea pot", *, chinese: str = "", price: str = "88.00", **more: Any) -> Product:
        return Product.objects.create(
            source=source,
            external_id=f"P{next(_numbers)}",
            name=name,
            names={"en": name, "zh-hans": chinese} if chinese else {"en": name},
            price_amount=Decimal(price),
            currency="CNY",
            first_seen_at=NOW - timedelta(days=300),
            **more,
        )

    return make


@pytest.fixture
def make_order(source: Source) -> Callable[..., Order]:
    def make(customer: Customer, *, at: datetime, amount: str = "100.00", product: Product | None = None, **more: Any) -> Order:
        order = Order.objects.create(
            source=source, external_id=f"O{next(_numbers)}", customer=customer, placed_at=at, total_amount=Decimal(amount), **({"currency": "CNY"} | more)
        )
        if product is not None:
            OrderLine.objects.create(order=order, product=product, quantity=1, unit_amount=Decimal(amount))
        return order

    return make


@pytest.fixture
def make_campaign(segment: Segment) -> Callable[..., Campaign]:
    """A function that makes a draft with an English text; texts={} leaves it without one."""

    def make(*, texts: dict[str, tuple[str, str]] | None = None, **more: Any) -> Campaign:
        campaign = Campaign.objects.create(**({"name": "Spring", "segment": segment, "holdout_percent": 0, "with_recommendations": False, "seed": 7} | more))
        for language, (subject, body) in ({"en": ("Hello {{ first_name|there }}", "Spring is here.")} if texts is None else texts).items():
            CampaignText.objects.create(campaign=campaign, language=language, subject=subject, body=body)
        return campaign

    return make


@pytest.fixture
def marketer(db: None) -> User:
    return User.objects.create_user(username="mia", email="mia@shop.example", password="x", role="marketer")


@pytest.fixture
def agent(db: None) -> User:
    return User.objects.create_user(username="alex", password="x", role="agent")


class Sink:
    """An SMTP server that keeps mails in memory. answers: what to say to DATA, per recipient, until used up."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []
        self.connections = 0
        self.rcpt_answers: dict[str, str] = {}
        self.data_answers: dict[str, list[str]] = {}
        self.drop_after_data: set[str] = set()
        # How long each mail takes, seconds.
        self.seconds = 0.0

    @property
    def recipients(self) -> list[str]:
        return [to for to, _mail in self.mails]

    def to(self, address: str) -> EmailMessage:
        return next(mail for to, mail in self.mails if to == address)

    async def handle_EHLO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        answer = self.rcpt_answers.get(address)
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        address = envelope.rcpt_tos[0]
        await asyncio.sleep(self.seconds)
        answers = self.data_answers.get(address)
        if answers:
            return answers.pop(0)
        self.mails.append((address, message_from_bytes(envelope.content, policy=policy.default)))  # type: ignore[arg-type]
        if address in self.drop_after_data:
            # Taken, but the answer never reaches the other side.
            server.transport.abort()
        return "250 Kept"


@pytest.fixture
def sink(settings: LazySettings) -> Iterator[Sink]:
    """A real SMTP server on a free port that the settings point at."""
    kept = Sink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    # The controller connected once to see whether it works.
    kept.connections = 0
    settings.CRM_SMTP_HOST, settings.CRM_SMTP_PORT = "127.0.0.1", port
    yield kept
    controller.stop()


class Clock:
    """A clock the test moves."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def ticking() -> Clock:
    return Clock(NOW)
