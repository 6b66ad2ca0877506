"""Rules in, people out: bad rules are refused by name, and SQL agrees with a plain reading of the same rule."""

import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Max
from django.http import QueryDict
from django.utils import timezone, translation

from crm.core import events
from customers import consent
from customers.events import SegmentChanged
from customers.models import Activity, ConsentEntry, Customer, Order, Portrait, Segment, SegmentMembership
from customers.segmentation import draft, fields, membership, phrases, templates, tree
from customers.segmentation.compile import queryset
from tests.factories import ActivityFactory, ConsentFactory, CustomerFactory, PortraitFactory, SegmentFactory, place_order
from tests.world import NOW, build

pytestmark = pytest.mark.django_db


def rule(field: str, operator: str, value: object = None) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def matching(data: object, at: datetime = NOW) -> list[str]:
    return sorted(queryset(tree.parse(data), at=at).values_list("name", flat=True))


# --- refusals -----------------------------------------------------------------------------------------------------

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


# --- meaning ------------------------------------------------------------------------------------------------------


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


def test_merged_and_anonymous_rows_are_nobody() -> None:
    kept = CustomerFactory(name="kept")
    CustomerFactory(name="gone", merged_into=kept)
    CustomerFactory(name="", is_anonymous=True)

    assert matching({}) == ["kept"]


# --- the same rule read plainly, on random trees ---------------------------------------------------------------------


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


# --- membership ---------------------------------------------------------------------------------------------------


def test_refresh_records_entering_and_leaving_once(django_capture_on_commit_callbacks: Any) -> None:
    world = build()
    segment = SegmentFactory(rule=rule("last_order_at", "in_last_days", 30))
    heard: list[SegmentChanged] = []
    events.listen(SegmentChanged, heard.append)

    with django_capture_on_commit_callbacks(execute=True):
        first = membership.refresh(segment_id=segment.pk, at=NOW)
        again = membership.refresh(segment_id=segment.pk, at=NOW)
        later = membership.refresh(segment_id=segment.pk, at=NOW + timedelta(days=24))

    assert (first.members, first.entered, first.left) == (2, 2, 0)
    assert (again.members, again.entered, again.left) == (2, 0, 0)
    assert (later.members, later.entered, later.left) == (0, 0, 2)
    assert [(event.entered, event.left) for event in heard] == [(2, 0), (0, 2)]
    assert set(SegmentMembership.objects.values_list("customer_id", flat=True)) == {world.loyal.pk, world.brand_new.pk}
    assert SegmentMembership.objects.aggregate(last=Max("left_at"))["last"] == NOW + timedelta(days=24)
    place_order(world.loyal, at=NOW + timedelta(days=25))
    assert membership.refresh(segment_id=segment.pk, at=NOW + timedelta(days=26)).entered == 1
    assert SegmentMembership.objects.filter(customer=world.loyal).count() == 2
    segment.refresh_from_db()
    assert (segment.members_count, segment.evaluated_at) == (1, NOW + timedelta(days=26))


def test_refresh_takes_the_same_few_statements_for_any_size(django_assert_num_queries: Any) -> None:
    for _index in range(30):
        CustomerFactory()
    segment = SegmentFactory(rule={})

    with django_assert_num_queries(7):  # savepoint, lock, segment, comparison, those who enter, count, release
        assert membership.refresh(segment_id=segment.pk, at=NOW).entered == 30
    assert list(membership.member_ids(segment_id=segment.pk)) == sorted(Customer.objects.values_list("pk", flat=True))
    assert membership.members(segment_id=segment.pk).count() == 30


# --- words, templates, drafts ---------------------------------------------------------------------------------------


def test_overlap_counts_who_is_in_both_now_and_leaves_strangers_out(django_assert_num_queries: Any) -> None:
    from customers.segmentation.overlap import overlaps

    people = [CustomerFactory(country="CN" if number < 3 else "DE") for number in range(4)]
    everyone, chinese, germans, nobody = (
        SegmentFactory(name=name, rule=rule)
        for name, rule in (
            ("Everyone", {"op": "all", "rules": []}),
            ("Chinese", {"op": "all", "rules": [{"field": "country", "operator": "is", "value": "CN"}]}),
            ("Germans", {"op": "all", "rules": [{"field": "country", "operator": "is", "value": "DE"}]}),
            ("Nobody", {"op": "all", "rules": [{"field": "country", "operator": "is", "value": "FR"}]}),
        )
    )
    for segment in (everyone, chinese, germans, nobody):
        membership.refresh(segment_id=segment.pk, at=NOW)
    # Who has left one of them is not in both.
    people[0].country = "FR"
    people[0].save()
    membership.refresh(segment_id=chinese.pk, at=NOW)

    with django_assert_num_queries(3):
        found = overlaps(segment=everyone)

    assert [(line.name, line.shared, line.members, line.share) for line in found] == [("Chinese", 2, 2, 0.5), ("Germans", 1, 1, 0.25)]
    assert [line.name for line in overlaps(segment=germans)] == ["Everyone"]
    assert overlaps(segment=nobody) == ()


def test_sentence_reads_as_one() -> None:
    parsed = tree.parse(
        {
            "op": "all",
            "rules": [
                rule("spent_amount", "at_least", 500),
                {"op": "any", "rules": [rule("stage", "any_of", ["at_risk", "lapsed"]), rule("ordered", "never", {"times": 1, "days": 60, "what": None})]},
                rule("email_allowed", "is", True),
            ],
        }
    )

    assert phrases.sentence(parsed) == (
        "Customers for whom Total spent is at least ¥500.00, and "
        "(Lifecycle stage is any of At risk, Lapsed, or Ordered: never in the last 60 days), and May be e-mailed: yes."
    )
    assert phrases.sentence(tree.parse({})) == "Every customer."


def test_templates_are_valid_and_round_trip_through_the_form() -> None:
    assert len(templates.TEMPLATES) == 6
    for template in templates.TEMPLATES:
        parsed = tree.parse(template.rule)
        posted = QueryDict(mutable=True)
        _post(draft.view(draft.of(parsed.as_data())), posted)
        assert tree.parse(draft.data(draft.read(posted))) == parsed


def _post(branch: draft.BranchView, posted: QueryDict) -> None:
    """Fill the form as a browser would send the printed rows."""
    posted[f"{branch.name}-op"] = branch.op
    for row in branch.rows:
        if isinstance(row, draft.BranchView):
            _post(row, posted)
            continue
        posted[f"{row.name}-field"] = posted[f"{row.name}-was"] = row.field.name
        posted[f"{row.name}-operator"] = row.operator.name
        if row.operator.takes == "window":
            for part, value in row.value.items():
                posted[f"{row.name}-{part}"] = str(value)
        elif row.operator.takes == "choices":
            posted.setlist(f"{row.name}-value", row.value)
        else:
            posted[f"{row.name}-value"] = row.value


def test_buttons_add_and_remove_nodes_and_unknown_ones_do_nothing() -> None:
    root = draft.Branch(nodes=[draft.Condition("country", "is", "CN")])

    draft.act(root, "add-group:r")
    draft.act(root, "add-rule:r-1")
    draft.act(root, "add-group:r-1")
    draft.act(root, "add-group:r-1-2")  # a fourth level: refused
    draft.act(root, "remove:r-0")
    for nonsense in ("", "drop:r", "remove:r", "remove:r-9", "add-rule:r-9-9", "add-rule:x", "remove:r-0-0-0-0-0"):
        draft.act(root, nonsense)

    assert draft.data(root) == {
        "op": "all",
        "rules": [
            {
                "op": "any",
                "rules": [
                    rule("orders_count", "at_least", 1),
                    rule("orders_count", "at_least", 1),
                    {"op": "any", "rules": [rule("orders_count", "at_least", 1)]},
                ],
            }
        ],
    }


def test_stored_segment_with_a_vanished_field_matches_nobody_and_says_so() -> None:
    CustomerFactory()
    segment = Segment.objects.create(name="old", rule=rule("gone_app_field", "is", True))

    with pytest.raises(tree.RuleInvalid) as caught:
        membership.refresh(segment_id=segment.pk, at=NOW)

    assert "gone_app_field" in caught.value.text
    assert not SegmentMembership.objects.exists()


def test_sentence_is_translated_with_the_reader() -> None:
    with translation.override("zh-hans"):
        text = phrases.sentence(tree.parse(rule("first_seen_at", "on_or_after", "2026-03-31")))

    assert "2026年3月31日" in text


def test_dates_of_rules_begin_at_midnight_of_the_team() -> None:
    CustomerFactory(name="in", first_seen_at=datetime(2026, 3, 30, 16, 0, tzinfo=UTC), last_seen_at=NOW)
    CustomerFactory(name="out", first_seen_at=datetime(2026, 3, 30, 15, 59, tzinfo=UTC), last_seen_at=NOW)

    assert matching(rule("first_seen_at", "on_or_after", "2026-03-31")) == ["in"]
