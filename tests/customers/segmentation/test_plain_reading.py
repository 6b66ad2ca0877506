"""SQL agrees with a plain reading of the same rule, on random trees; every field and operator compiles and reads."""

import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from customers.models import Activity, ConsentEntry, Customer, Order, Portrait
from customers.segmentation import fields, membership, phrases, tree
from customers.segmentation.compile import queryset
from tests.customers.segmentation.rules import rule
from tests.factories import ActivityFactory, ConsentFactory, CustomerFactory, PortraitFactory, place_order
from tests.world import NOW, build

pytestmark = pytest.mark.django_db


def _plain(node: tree.Group | tree.Rule, customer: Customer, at: datetime) -> bool:
    """Evaluate a rule on one customer in Python, written from the definitions and not from compile.py."""
    if isinstance(node, tree.Group):
        results = [_plain(each, customer, at) for each in node.rules]
        return not results or (all(results) if node.op == "all" else any(results))
    field, value = node.field, node.value
    portrait = Portrait.objects.filter(customer=customer).first()
    if field in {"ordered", "viewed"}:
        if field == "ordered":
            times_list = list(Order.objects.filter(customer=customer).exclude(status="cancelled").values_list("placed_at", flat=True))
        else:
            times_list = list(Activity.objects.filter(customer=customer, name="Product Viewed").values_list("occurred_at", flat=True))
        happened = [each for each in times_list if each < at and (value["days"] is None or each >= at - timedelta(days=value["days"]))]
        return {"at_least": len(happened) >= value["times"], "fewer_than": len(happened) < value["times"], "never": not happened}[node.operator]
    if field == "email_allowed":
        latest = ConsentEntry.objects.filter(customer=customer, channel__in=["email", "any"], purpose="marketing").order_by("-recorded_at", "-id").first()
        carried = ConsentEntry.objects.filter(customer=customer, channel="email", state__in=["bounced", "granted"]).order_by("-recorded_at", "-id").first()
        bounced = carried is not None and carried.state == "bounced"
        return bool(latest and latest.state == "granted" and customer.email and not bounced) is value
    if field == "tags":
        held, asked = set(customer.tags), set(value)
        return {"any_of": bool(held & asked), "all_of": asked <= held, "none_of": not held & asked}[node.operator]
    known = getattr(portrait, field, None) if field in {"stage", "p_active", "value_365"} else getattr(customer, field)
    if field == "stage":
        known = known or ""
        wanted = value if isinstance(value, list) else [value]
        return (known in wanted) is (node.operator in {"is", "any_of"})
    if field in {"name", "country"}:
        text, asked_text = (known or "").casefold(), (value or "").casefold()
        return {
            "is": text == asked_text,
            "is_not": text != asked_text,
            "contains": asked_text in text,
            "starts_with": text.startswith(asked_text),
            "is_known": text != "",
            "is_unknown": text == "",
        }[node.operator]
    if field in {"last_order_at", "first_seen_at"}:
        if node.operator in {"ever", "never"}:
            return (known is not None) is (node.operator == "ever")
        edge = (
            at - timedelta(days=value)
            if isinstance(value, int)
            else datetime.combine(date.fromisoformat(value), time.min, tzinfo=timezone.get_default_timezone())
        )
        if known is None:
            return False
        return known >= edge if node.operator in {"in_last_days", "on_or_after"} else known < edge
    if node.operator in {"is_known", "is_unknown"}:
        return (known is not None) is (node.operator == "is_known")
    if known is None:
        return False
    number = Decimal(str(known))
    asked_number = Decimal(str(value))
    return {
        "at_least": number >= asked_number,
        "at_most": number <= asked_number,
        "more_than": number > asked_number,
        "less_than": number < asked_number,
        "equals": number == asked_number,
    }[node.operator]


def _random_value(random_: random.Random, field: str, operator: str) -> object:
    if field in {"ordered", "viewed"}:
        return {"times": random_.randint(1, 4), "days": random_.choice([None, 10, 30, 90, 200]), "what": None}
    if operator in {"ever", "never", "is_known", "is_unknown"}:
        return None
    choices: dict[str, Any] = {
        "email_allowed": [True, False],
        "name": ["a", "Person", "人", "B%"],
        "country": ["CN", "gb", "Nowhere"],
        "orders_count": [0, 1, 2, 5],
        "spent_amount": [0, 99.5, 100, 250.25],
        "value_365": [100, 360, 1000.1],
        "p_active": [0.25, 0.5, 0.8],
    }
    if field == "tags":
        return random_.sample(["vip", "wholesale", "press"], random_.randint(1, 2))
    if field == "stage":
        stages = ["new", "loyal", "at_risk", "lapsed"]
        return random_.choice(stages) if operator in {"is", "is_not"} else random_.sample(stages, 2)
    if field in {"last_order_at", "first_seen_at"}:
        return random_.choice([5, 30, 100]) if operator.endswith("_days") else random_.choice(["2026-05-01", "2026-06-10"])
    return random_.choice(choices[field])


def _random_tree(random_: random.Random, depth: int = 1) -> dict[str, Any]:
    names = [
        "ordered",
        "viewed",
        "email_allowed",
        "tags",
        "stage",
        "p_active",
        "value_365",
        "name",
        "country",
        "last_order_at",
        "first_seen_at",
        "orders_count",
        "spent_amount",
    ]
    rules: list[dict[str, Any]] = []
    for _index in range(random_.randint(1, 3)):
        if depth < 3 and random_.random() < 0.35:
            rules.append(_random_tree(random_, depth + 1))
            continue
        name = random_.choice(names)
        field = fields.find(name)
        assert field is not None
        operator = random_.choice(list(fields_operators(field.kind)))
        rules.append(rule(name, operator, _random_value(random_, name, operator)))
    return {"op": random_.choice(["all", "any"]), "rules": rules}


def fields_operators(kind: str) -> list[str]:
    from customers.segmentation.operators import BY_KIND

    return list(BY_KIND[kind])


def _crowd(random_: random.Random) -> None:
    stages = ["new", "loyal", "at_risk", "lapsed", ""]
    for index in range(24):
        customer = CustomerFactory(
            name=random_.choice(["Anna", "Bob", "人人", "", "Person b%c"]),
            country=random_.choice(["CN", "GB", ""]),
            email=random_.choice(["", f"crowd{index}@mail.example"]),
            tags=random_.sample(["vip", "wholesale", "press"], random_.randint(0, 3)),
            first_seen_at=NOW - timedelta(days=random_.choice([3, 40, 300])),
            last_seen_at=NOW,
        )
        for _order in range(random_.randint(0, 5)):
            place_order(
                customer,
                at=NOW - timedelta(days=random_.randint(0, 250)),
                amount=random_.choice(["50.00", "100.00", "0.25"]),
                status=random_.choice(["paid", "cancelled"]),
            )
        for _view in range(random_.randint(0, 4)):
            ActivityFactory(customer=customer, source=customer.source, occurred_at=NOW - timedelta(days=random_.randint(0, 120)))
        for _entry in range(random_.randint(0, 2)):
            ConsentFactory(
                customer=customer,
                channel=random_.choice(["email", "any", "sms"]),
                state=random_.choice(["granted", "withdrawn", "bounced"]),
                recorded_at=NOW - timedelta(days=random_.randint(1, 50)),
            )
        if random_.random() < 0.8:
            PortraitFactory(
                customer=customer,
                stage=random_.choice(stages),
                p_active=random_.choice([None, 0.25, 0.5, 0.9]),
                value_365=random_.choice([None, Decimal("360.00"), Decimal("1000.10")]),
            )


def test_sql_agrees_with_a_plain_reading_of_sixty_random_trees() -> None:
    random_ = random.Random(20260615)
    _crowd(random_)
    people = list(Customer.objects.people())
    sizes = set()

    for _round in range(60):
        parsed = tree.parse(_random_tree(random_))
        found = set(queryset(parsed, at=NOW).values_list("pk", flat=True))
        expected = {customer.pk for customer in people if _plain(parsed, customer, NOW)}
        assert found == expected, phrases.sentence(parsed)
        sizes.add(len(found))

    assert len(sizes) > 10  # the trees told people apart; a compiler answering "nobody" would not pass


def test_every_field_and_operator_compiles_and_reads() -> None:
    build()
    from customers.segmentation.operators import BY_KIND

    values = {"text": "x", "number": 2, "date": "2026-01-31", "days": 7, "boolean": True, "window": {"times": 2, "days": 7, "what": None}, "nothing": None}
    for field in fields.everything():
        for operator in BY_KIND[field.kind].values():
            first = str(field.choices()[0][0]) if field.choices and field.choices() else "vip"
            value = first if operator.takes == "choice" else [first] if operator.takes == "choices" else values[operator.takes]
            parsed = tree.parse(rule(field.name, operator.name, value))
            membership.count(parsed, at=NOW)
            assert phrases.sentence(parsed).startswith("Customers for whom ")
