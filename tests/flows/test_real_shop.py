"""The whole lifecycle on a real retailer's orders: import, train, portraits, a campaign, a chat, feedback, retraining.

Counts are recounted from the raw file by test_real_shop_import.py; here they are the figures everything else rests on.
"""

import mailbox
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from django.core.management import call_command

from campaigns import sending
from campaigns.models import Campaign, CampaignText, Delivery, DeliveryState
from crm.core.learning import registry
from crm.core.learning.registry import Outcome
from crm.core.models import ModelVersion, Source, User
from crm.embedded.mailsink import Keep
from customers import ingest, portrait
from customers.ingest import ConsentFacts, PersonFacts, PersonKey
from customers.models import Customer, Order, Portrait, Product, Return, Segment
from customers.segmentation import membership
from recommendations import feedback, ranking
from support import conversations, knowledge, labels, replies
from support.ml import dataset
from support.models import Message
from support.models.conversation import Author
from tests.servers import free_port

FILE = (
    Path(os.environ.get("PERENNIAL_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    / "online_retail"
    / "transactions_20101201_20110831.csv.gz"
)
AS_OF = datetime(2011, 8, 31, 23, 59, 59, tzinfo=UTC)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FILE.exists(), reason="the public retailer file is not on this machine")]


@pytest.fixture
def outbox(settings, tmp_path: Path) -> Iterator[Path]:
    """A real SMTP server that keeps what it accepts in a Maildir."""
    folder = tmp_path / "outbox"
    controller = Controller(Keep(folder), hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.CRM_SMTP_HOST, settings.CRM_SMTP_PORT = "127.0.0.1", controller.port
    yield folder
    controller.stop()


@pytest.mark.django_db
def test_from_a_retailers_file_to_the_next_training(outbox: Path, django_capture_on_commit_callbacks) -> None:
    # 1. Facts in.
    call_command("import_orders", str(FILE), preset="online-retail", source="Retailer", stdout=StringIO())
    source = Source.objects.get(name="Retailer")
    assert (Order.objects.count(), Return.objects.count(), Customer.objects.count(), Product.objects.count()) == (12_494, 2_554, 3_360, 3_550)
    assert Order.objects.filter(customer=None).exists()
    buyers = Customer.objects.filter(orders_count__gt=0)

    # 2. Models train; what cannot be trained says what is missing.
    knowledge.load_shipped(now=AS_OF, is_demo=True)
    outcomes = {task.name: outcome for task, outcome in registry.run_all(as_of=AS_OF)}
    assert {name for name, outcome in outcomes.items() if outcome.state is Outcome.TRAINED} >= {"recommendations", "intents", "lifecycle"}
    assert outcomes["value"].state in {Outcome.TRAINED, Outcome.KEPT}
    assert outcomes["sentiment"].state is Outcome.FAILED
    assert "review" in outcomes["sentiment"].message.lower()
    # This file's BG/NBD fit degenerates; it must be noticed, not stored.
    value = ModelVersion.objects.filter(task="value").latest("version")
    assert all(math.isfinite(number) for number in value.metrics.values())
    recommended = ModelVersion.objects.get(task="recommendations", state="champion")
    assert recommended.metrics["hit_rate_10"] > recommended.baseline["hit_rate_10"]

    # 3. A portrait for every buyer, complete and finite.
    portrait.refresh(as_of=AS_OF)
    portraits = Portrait.objects.filter(customer__in=buyers)
    assert portraits.count() == buyers.count() == 3_317
    assert not portraits.filter(rfm_group="").exists()
    assert not portraits.filter(stage="").exists()
    for row in portraits.values_list("p_active", "expected_orders_90", "value_365"):
        assert all(number is None or math.isfinite(number) for number in row)
    assert portraits.filter(expected_orders_90__isnull=False, value_365__isnull=False).count() == buyers.count()

    # 4. A segment of the best, of whom some may be written to, gets a campaign.
    best = list(buyers.order_by("-orders_count", "pk")[:60])
    users = {identity.customer_id: identity.value for customer in best for identity in customer.identities.filter(kind="user")}
    people = [
        PersonFacts(
            key=PersonKey(user_id=users[customer.pk]), seen_at=AS_OF, email=f"buyer{customer.pk}@mail.example", locale="en",
            consents=(ConsentFacts(channel="email", state="granted" if number % 3 else "withdrawn"),),
        )
        for number, customer in enumerate(best)
    ]  # fmt: skip
    ingest.record_customers(source_id=source.pk, people=people, at=AS_OF)
    rule = {
        "op": "all",
        "rules": [
            {"field": "orders_count", "operator": "at_least", "value": best[-1].orders_count},
            {"field": "email_allowed", "operator": "is", "value": True},
        ],
    }
    segment = Segment.objects.create(name="Best, reachable", rule=rule)
    membership.refresh(segment_id=segment.pk, at=AS_OF)
    marketer = User.objects.create_user("mina", password="x", role="marketer")
    campaign = Campaign.objects.create(name="Autumn", segment=segment, holdout_percent=10, seed=3)
    CampaignText.objects.create(
        campaign=campaign, language="en", subject="For you, {{ first_name|friend }}", body="Hello,\n\n{{ recommendations }}\n\nThe shop"
    )
    sent_at = AS_OF + timedelta(hours=1)
    job = sending.launch(campaign_id=campaign.pk, actor=marketer, now=sent_at)
    sending.deliver(campaign_id=campaign.pk, job_id=job.pk, clock=lambda: sent_at)

    states = dict.fromkeys(DeliveryState.values, 0)
    for state in Delivery.objects.filter(campaign=campaign).values_list("state", flat=True):
        states[state] += 1
    assert sum(states.values()) == 40
    assert states["holdout"] == 4
    assert states["sent"] == 36
    mails = list(mailbox.Maildir(outbox))
    assert len(mails) == len({mail["X-Envelope-To"] for mail in mails}) == 36
    assert all(mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click" for mail in mails)

    # 5. Recommendations for every buyer asked, sellable and not just bought.
    for customer in best[:20]:
        found = ranking.for_customer(customer_id=customer.pk, at=AS_OF)
        assert found.items
        products = Product.objects.in_bulk([item.product_id for item in found.items])
        assert all(product.is_goods and product.is_available for product in products.values())

    # 6. A visitor is answered by the trained classifier from an article.
    chat = conversations.open(source_id=source.pk, visitor_id="ab" * 16, now=sent_at)
    posted = conversations.post(
        conversation_id=chat.pk, author=Author.VISITOR, text="How long do I have to send something back if I don't like it?", now=sent_at
    )
    replies.draft(message_id=posted.message.pk, now=sent_at)
    answer = Message.objects.get(conversation=chat, author=Author.BOT, kind="answer")
    assert answer.data["article"] == "return_policy"
    question = Message.objects.get(pk=posted.message.pk)
    assert question.intent == "return_policy"

    # 7. What people did is stored as labelled rows, and the next training reads them; unchanged data skip.
    agent = User.objects.create_user("ling", password="x", role="agent")
    labels.label(message_id=question.pk, label="return_request", by=agent, now=sent_at)
    first = best[0]
    liked = ranking.for_customer(customer_id=first.pk, at=AS_OF).items[0]
    feedback.record(customer_id=first.pk, product_id=liked.product_id, kind="clicked", origin="shop", at=sent_at)
    later = AS_OF + timedelta(days=1)
    assert registry.run("lifecycle", as_of=AS_OF).state is Outcome.SKIPPED
    again = registry.run("recommendations", as_of=later)
    assert again.state in {Outcome.TRAINED, Outcome.KEPT}
    assert ("How long do I have to send something back if I don't like it?", "return_request") in _intent_rows(later)


def _intent_rows(as_of: datetime) -> set[tuple[str, str]]:
    """What the next intent training would read; training itself takes half a minute and is tested with the support app."""
    examples = dataset.read(as_of=as_of)
    return set(zip(examples.texts, examples.labels, strict=True))
