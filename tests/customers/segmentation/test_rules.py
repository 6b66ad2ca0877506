"""Rules in, people out: bad rules are refused by name, texts are never executed, and the others find whom they mean."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from customers import consent
from customers.models import Customer, Segment, SegmentMembership
from customers.segmentation import fields, membership, tree
from customers.segmentation.compile import queryset
from tests.customers.segmentation.rules import matching, rule
from tests.factories import ConsentFactory, CustomerFactory, SegmentFactory, place_order
from tests.world import NOW, build

pytestmark = pytest.mark.django_db

REFUSED = [
    ([], "rule"),
    ("all", "rule"),
    (None, "rule"),
    ({"op": "xor", "rules": []}, "op"),
    ({"op": ["all"], "rules": []}, "op"),
    ({"op": "all"}, "rules"),
    ({"op": "all", "rules": {}}, "rules"),
    ({"op": "all", "rules": [7]}, "rules[0]"),
    ({"op": "all", "rules": [{}]}, "rules[0].field"),
    ({"op": "all", "rules": [], "sql": "1=1"}, "rule"),
    ({"op": "all", "rules": [rule("nothing", "is", 1)]}, "rules[0].field"),
    ({"op": "all", "rules": [rule("id; DROP TABLE customers_customer", "is", 1)]}, "rules[0].field"),
    ({"op": "all", "rules": [{"field": ["name"], "operator": "is", "value": "x"}]}, "rules[0].field"),
    ({"op": "all", "rules": [rule("name__regex", "is", ".*")]}, "rules[0].field"),
    ({"op": "all", "rules": [rule("orders_count", "contains", 1)]}, "rules[0].operator"),
    ({"op": "all", "rules": [rule("orders_count", {}, 1)]}, "rules[0].operator"),
    ({"op": "all", "rules": [rule("orders_count", "at_least", "many")]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("orders_count", "at_least", True)]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("orders_count", "at_least", float("nan"))]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("orders_count", "at_least", 10**40)]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("orders_count", "is_known", 3)]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("name", "contains", "\x00")]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("name", "contains", "x" * 500)]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("last_order_at", "before", "2026-02-31")]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("last_order_at", "in_last_days", 0)]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("last_order_at", "in_last_days", 10**9)]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("stage", "is", "asleep")]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("stage", "any_of", [])]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("stage", "any_of", "loyal")]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("email_allowed", "is", "yes")]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("ordered", "at_least", 3)]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("ordered", "at_least", {"times": 0, "days": 1})]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("ordered", "at_least", {"times": 1, "hours": 1})]}, "rules[0].value"),
    ({"op": "all", "rules": [rule("name", "is", "x"), {"op": "any", "rules": [rule("name", "is", "x"), rule("name", "is", 5)]}]}, "rules[1].rules[1].value"),
    ({"op": "all", "rules": [{"op": "all", "rules": [{"op": "all", "rules": [{"op": "all", "rules": []}]}]}]}, "rules[0].rules[0].rules[0]"),
    ({"op": "all", "rules": [rule("name", "is", "x")] * 51}, "rules"),
    ({"op": "all", "rules": [{"op": "any", "rules": [rule("name", "is", "x")] * 30}] * 2}, "rule"),
]


@pytest.mark.parametrize(("data", "node"), REFUSED, ids=range(len(REFUSED)))
def test_bad_rule_is_refused_naming_the_node(data: object, node: str) -> None:
    with pytest.raises(tree.RuleInvalid) as caught:
        tree.parse(data)

    assert caught.value.node == node
    assert caught.value.status == 400
    assert caught.value.code == "rule_invalid"


@pytest.mark.parametrize("text", ["'; DROP TABLE customers_customer; --", "%s", "%(x)s", "\\", '"', "a%b_c", "1 OR 1=1", "😀"])
def test_text_values_are_compared_never_executed(text: str) -> None:
    wanted = CustomerFactory(name=text)
    CustomerFactory(name="someone else")

    assert list(queryset(tree.parse(rule("name", "is", text)), at=NOW)) == [wanted]
    assert list(queryset(tree.parse(rule("name", "contains", text)), at=NOW)) == [wanted]
    segment = SegmentFactory(rule={"op": "all", "rules": [rule("name", "starts_with", text), rule("did", "never", {"times": 1, "days": None, "what": text})]})
    assert membership.refresh(segment_id=segment.pk, at=NOW).members == 1
    assert Customer.objects.count() == 2


def test_stored_segment_with_a_vanished_field_matches_nobody_and_says_so() -> None:
    CustomerFactory()
    segment = Segment.objects.create(name="old", rule=rule("gone_app_field", "is", True))

    with pytest.raises(tree.RuleInvalid) as caught:
        membership.refresh(segment_id=segment.pk, at=NOW)

    assert "gone_app_field" in caught.value.text
    assert not SegmentMembership.objects.exists()


def test_named_world_falls_into_the_expected_audiences() -> None:
    build()

    assert matching(rule("spent_amount", "at_least", 480)) == ["Lin Loyal", "王旧友"]
    assert matching(rule("spent_amount", "more_than", 480)) == ["Lin Loyal"]
    assert matching(rule("last_order_at", "before_last_days", 60)) == ["王旧友"]
    assert matching(rule("ordered", "at_least", {"times": 3, "days": 90, "what": None})) == ["Lin Loyal"]
    assert matching(rule("ordered", "fewer_than", {"times": 3, "days": 90, "what": None})) == ["Nora New", "王旧友"]
    assert matching(rule("bought", "at_least", {"times": 6, "days": None, "what": "tea"})) == ["Lin Loyal", "王旧友"]
    assert matching(rule("viewed", "never", {"times": 1, "days": 30, "what": None})) == ["Lin Loyal", "Nora New", "王旧友"]
    assert matching(rule("email_allowed", "is", True)) == ["Lin Loyal", "Nora New"]
    assert matching(rule("ever_refused", "is", True)) == ["王旧友"]
    assert matching(rule("tags", "any_of", ["vip"])) == ["Lin Loyal"]
    assert matching(rule("tags", "none_of", ["vip"])) == ["Nora New", "王旧友"]
    assert matching({}) == ["Lin Loyal", "Nora New", "王旧友"]


def test_category_rules_reach_into_child_categories() -> None:
    world = build()
    world.teapot.category = type(world.tea).objects.create(slug="teapots", parent=world.tea)
    world.teapot.save()

    assert matching(rule("bought", "at_least", {"times": 1, "days": 30, "what": "tea"})) == ["Lin Loyal", "Nora New"]
    assert matching(rule("bought", "at_least", {"times": 1, "days": 30, "what": "teapots"})) == ["Nora New"]


def test_window_is_half_open() -> None:
    world = build()
    place_order(world.lapsing, at=NOW - timedelta(days=30))
    exactly = rule("ordered", "at_least", {"times": 1, "days": 30, "what": None})

    assert "王旧友" in matching(exactly)
    assert "王旧友" not in matching(exactly, NOW + timedelta(microseconds=1))
    assert "Lin Loyal" not in matching(exactly, NOW - timedelta(days=340))  # first order not yet placed at that moment


def test_dates_of_rules_begin_at_midnight_of_the_team() -> None:
    CustomerFactory(name="in", first_seen_at=datetime(2026, 3, 30, 16, 0, tzinfo=UTC), last_seen_at=NOW)
    CustomerFactory(name="out", first_seen_at=datetime(2026, 3, 30, 15, 59, tzinfo=UTC), last_seen_at=NOW)

    assert matching(rule("first_seen_at", "on_or_after", "2026-03-31")) == ["in"]


def test_merged_and_anonymous_rows_are_nobody() -> None:
    kept = CustomerFactory(name="kept")
    CustomerFactory(name="gone", merged_into=kept)
    CustomerFactory(name="", is_anonymous=True)

    assert matching({}) == ["kept"]


def test_contactable_set_is_what_the_gate_allows() -> None:
    random_ = random.Random(7)
    for index in range(40):
        customer = CustomerFactory(email=random_.choice(["", f"gate{index}@mail.example"]), phone=random_.choice(["", "+8613800000000"]))
        for _entry in range(random_.randint(0, 4)):
            ConsentFactory(
                customer=customer,
                channel=random_.choice(["email", "sms", "any"]),
                purpose=random_.choice(["marketing", "service"]),
                state=random_.choice(["granted", "granted", "withdrawn", "bounced", "complained"]),
                recorded_at=NOW - timedelta(days=random_.randint(-1, 3)),
            )
    everybody = list(Customer.objects.values_list("pk", flat=True))

    for channel in ("email", "sms", "push"):
        gate = consent.may_contact(customer_ids=everybody, channel=channel, at=NOW)
        as_set = set(Customer.objects.filter(fields.contactable(channel, NOW)).values_list("pk", flat=True))
        assert as_set == {customer_id for customer_id, verdict in gate.items() if verdict.allowed}
        assert as_set
