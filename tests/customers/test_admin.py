"""The admin opens: every list with thirty rows in a fixed number of questions, every add and change page."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.core import audit, jobs
from crm.core.models import ApiKey, AuditEntry, DriftReading, IdempotencyRecord, Job, ModelVersion, SavedView, Source, User
from crm.core.models.jobs import JobState
from customers import models
from tests.factories import (
    ActivityFactory,
    CategoryFactory,
    ConsentFactory,
    CustomerFactory,
    IdentityFactory,
    OrderFactory,
    OrderLineFactory,
    PortraitFactory,
    ProductFactory,
    ReturnFactory,
    ReviewFactory,
    SegmentFactory,
    SourceFactory,
    UserFactory,
)
from tests.world import NOW

pytestmark = pytest.mark.django_db


def _portrait_run(n: int) -> models.PortraitRun:
    return models.PortraitRun.objects.create(job=Job.objects.create(kind="portraits", title=f"refresh {n}"), as_of=NOW, cause="test")


MAKERS: dict[type[Model], Callable[[int], Any]] = {
    models.Customer: lambda _n: PortraitFactory().customer,
    models.Identity: lambda _n: IdentityFactory(),
    models.Merge: lambda _n: models.Merge.objects.create(gone=CustomerFactory(), kept=CustomerFactory(), merged_at=NOW),
    models.ConsentEntry: lambda _n: ConsentFactory(),
    models.Category: lambda _n: CategoryFactory(parent=CategoryFactory()),
    models.Product: lambda _n: ProductFactory(),
    models.Order: lambda _n: OrderFactory(),
    models.OrderLine: lambda _n: OrderLineFactory(),
    models.Return: lambda _n: ReturnFactory(),
    models.ReturnLine: lambda _n: models.ReturnLine.objects.create(
        return_record=ReturnFactory(), product=ProductFactory(), order_line=OrderLineFactory(), quantity=1, unit_amount=5
    ),
    models.Activity: lambda _n: ActivityFactory(product=ProductFactory()),
    models.QuarantinedEvent: lambda n: models.QuarantinedEvent.objects.create(
        source=SourceFactory(), code="bad", reason=f"reason {n}", payload="{}", received_at=NOW
    ),
    models.Review: lambda _n: ReviewFactory(),
    models.Portrait: lambda _n: PortraitFactory(),
    models.PortraitFeatures: lambda _n: models.PortraitFeatures.objects.create(customer=CustomerFactory(), recipe="0", values=b"", as_of=NOW),
    models.PortraitRun: lambda n: _portrait_run(n),
    models.PortraitShard: lambda n: models.PortraitShard.objects.create(run=_portrait_run(n), low=0, high=5),
    models.PortraitSnapshot: lambda _n: models.PortraitSnapshot.objects.create(customer=CustomerFactory(), month=NOW.date().replace(day=1), as_of=NOW),
    models.PortraitFeedback: lambda _n: models.PortraitFeedback.objects.create(
        customer=CustomerFactory(), statement="stage", verdict="wrong", user=UserFactory(), at=NOW
    ),
    models.Segment: lambda _n: SegmentFactory(created_by=UserFactory()),
    models.SegmentMembership: lambda _n: models.SegmentMembership.objects.create(segment=SegmentFactory(), customer=CustomerFactory(), entered_at=NOW),
    User: lambda _n: UserFactory(),
    Source: lambda _n: SourceFactory(),
    ApiKey: lambda n: ApiKey.objects.create(name=f"key {n}", prefix=f"pk{n}", secret_hash="0" * 64, scopes=["customers:read"], created_by=UserFactory()),
    Job: lambda n: Job.objects.create(kind="train", title=f"job {n}", done=n, total=30, created_by=UserFactory()),
    ModelVersion: lambda n: ModelVersion.objects.create(task="value", version=n + 1, data_hash="0", as_of=NOW, trained_at=NOW),
    DriftReading: lambda n: DriftReading.objects.create(
        task="churn", version=1, name=f"feature_{n}", week=NOW.date() - timedelta(days=NOW.weekday()), index=0.01 * n, measured_at=NOW
    ),
    AuditEntry: lambda _n: audit.record(actor=UserFactory(), action="test.act", target=SegmentFactory()),
    SavedView: lambda n: SavedView.objects.create(page="customers:list", name=f"view {n}", owner=UserFactory()),
    IdempotencyRecord: lambda n: IdempotencyRecord.objects.create(
        api_key=ApiKey.objects.create(name="k", prefix=f"ik{n}", secret_hash="0" * 64), key=f"{n}", method="POST", path="/", body_hash="0" * 64
    ),
}
OURS = [model for model in admin.site._registry if model._meta.app_label in {"customers", "core"}]


@pytest.fixture
def client(admin_user: User) -> Client:
    made = Client()
    made.force_login(admin_user)
    return made


def address(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_model_of_the_kernel_and_the_record_is_registered() -> None:
    from django.apps import apps

    known = {model for label in ("customers", "core") for model in apps.get_app_config(label).get_models()}

    assert known - set(OURS) == set()
    assert set(OURS) - set(MAKERS) == set()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_list_asks_as_much_for_thirty_rows_as_for_three(client: Client, model: type[Model]) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address(model, "changelist")).status_code == 200
        return len(captured)

    for number in range(3):
        MAKERS[model](number)
    count()  # the first page also asks for content types, remembered afterwards
    with_three = count()
    for number in range(3, 30):
        MAKERS[model](number)

    assert count() == with_three <= 15


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_change_add_and_search_pages_open(client: Client, model: type[Model]) -> None:
    row = MAKERS[model](0)
    may_add = admin.site._registry[model].has_add_permission(_request(client))

    assert client.get(address(model, "change", row.pk)).status_code == 200
    assert client.get(address(model, "add")).status_code == (200 if may_add else 403)
    for text in ("x", "'; --", "%", "人"):
        assert client.get(address(model, "changelist"), {"q": text}).status_code == 200


def _request(client: Client) -> Any:
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=client.session["_auth_user_id"])
    return request


def test_customer_page_of_the_admin_does_not_grow_with_the_history(client: Client) -> None:
    customer = CustomerFactory()
    url = address(models.Customer, "change", customer.pk)
    client.get(url)
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    for _index in range(30):
        IdentityFactory(customer=customer)
        ConsentFactory(customer=customer)
    order = OrderFactory(customer=customer)
    for _index in range(30):
        OrderLineFactory(order=order)

    with CaptureQueriesContext(connection) as many:
        assert client.get(url).status_code == 200
    with CaptureQueriesContext(connection) as of_order:
        assert client.get(address(models.Order, "change", order.pk)).status_code == 200

    assert len(many) == len(few)
    assert len(of_order) <= 15


def test_facts_and_the_audit_trail_cannot_be_changed(client: Client) -> None:
    entry = audit.record(actor=None, action="test.act")
    consent = ConsentFactory()

    assert client.post(address(AuditEntry, "delete", entry.pk), {"post": "yes"}).status_code == 403
    assert client.post(address(models.ConsentEntry, "delete", consent.pk), {"post": "yes"}).status_code == 403
    assert client.post(address(models.ConsentEntry, "change", consent.pk), {"state": "withdrawn"}).status_code == 403
    assert models.ConsentEntry.objects.get().state == "granted"


def test_source_made_by_hand_gets_an_unguessable_key_that_is_shown(client: Client) -> None:
    values = {"name": "New shop", "allowed_origins": "https://new.example", "locale": "en", "currency": "CNY", "brand_colour": "#1f4fd1", "is_active": "on"}

    client.post(address(Source, "add"), values)

    source = Source.objects.get(name="New shop")
    assert len(source.write_key) == 35
    assert source.write_key in client.get(address(Source, "change", source.pk)).content.decode()


def test_key_page_shows_no_secret_and_revokes(client: Client) -> None:
    key = ApiKey.objects.create(name="partner", prefix="abc", secret_hash="f" * 64, scopes=["customers:read"])

    assert "f" * 64 not in client.get(address(ApiKey, "change", key.pk)).content.decode()
    client.post(address(ApiKey, "changelist"), {"action": "revoke", "_selected_action": [key.pk]})

    key.refresh_from_db()
    assert key.revoked_at is not None
    assert AuditEntry.objects.get(action="api_key.revoke").target_id == str(key.pk)


def test_actions_do_what_they_say(client: Client, admin_user: User) -> None:
    customer = CustomerFactory()
    OrderFactory(customer=customer, placed_at=NOW - timedelta(days=3))
    segment = SegmentFactory(rule={})
    job = jobs.start(kind="x", title="x", created_by=None)
    colleague = UserFactory()

    for model, action, rows in (
        (models.Customer, "refresh_portraits", [customer.pk]),
        (models.Segment, "evaluate", [segment.pk]),
        (Job, "ask_to_stop", [job.pk]),
        (User, "deactivate", [colleague.pk, admin_user.pk]),
    ):
        assert client.post(address(model, "changelist"), {"action": action, "_selected_action": rows}).status_code == 302

    segment.refresh_from_db()
    assert models.Portrait.objects.get().customer == customer
    assert segment.members_count == 1
    assert Job.objects.get(pk=job.pk).state == JobState.CANCELLED
    assert set(User.objects.filter(is_active=True)) == {admin_user}


def test_the_list_tells_the_stage_in_words(client: Client) -> None:
    PortraitFactory(stage="at_risk", customer=CustomerFactory(stage="at_risk"))
    client.cookies["django_language"] = "zh-hans"

    page = client.get(reverse("admin:customers_customer_changelist")).content.decode()

    assert '<td class="field-stage_told">流失风险</td>' in page
