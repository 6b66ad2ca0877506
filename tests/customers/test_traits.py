"""Groups that models are measured by: read from what is known, empty where nothing is, never from the future."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from crm.demo import people
from customers.ml import learned_from, tabular_dataset
from tests.factories import ActivityFactory, CustomerFactory
from tests.factories.customers import NOW

pytestmark = pytest.mark.django_db
PHONE, COMPUTER, TABLET = (people._AGENTS[kind][0] for kind in ("phone", "computer", "tablet"))


@pytest.mark.parametrize(
    ("context", "device"),
    [
        ({"userAgent": PHONE}, "phone"),
        ({"userAgent": people._AGENTS["phone"][1]}, "phone"),
        ({"userAgent": COMPUTER}, "computer"),
        ({"userAgent": TABLET}, "tablet"),
        ({"userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}, "computer"),
        ({"device": {"type": "iOS"}}, "phone"),
        ({"device": {"type": "desktop"}}, "computer"),
        ({"device": "phone"}, ""),
        ({"userAgent": ""}, ""),
        ({"device": {"type": 7}}, ""),
        ({}, ""),
    ],
)
def test_devices_are_told_from_what_visits_say(context: dict[str, Any], device: str) -> None:
    visit = ActivityFactory(customer=CustomerFactory(), context=context, occurred_at=NOW - timedelta(days=2))

    assert tabular_dataset.traits(np.array([visit.customer_id]), as_of=NOW)["device"].tolist() == [device]


def test_the_newest_visit_that_says_one_counts_and_none_of_the_future() -> None:
    customer, other = CustomerFactory(gender="f", locale="zh-CN", country="CN"), CustomerFactory(gender="")
    for days, context in ((5, {"userAgent": COMPUTER}), (3, {"userAgent": PHONE}), (1, {}), (-1, {"userAgent": TABLET})):
        ActivityFactory(customer=customer, context=context, occurred_at=NOW - timedelta(days=days))

    found = tabular_dataset.traits(np.array([customer.pk, other.pk, 10**9]), as_of=NOW)

    assert found["device"].tolist() == ["phone", "", ""]
    assert (found["gender"].tolist(), found["language"].tolist()[0]) == (["female", "", ""], "zh-hans")


def test_the_demo_shop_has_people_on_every_device() -> None:
    class Numbered:
        def __init__(self, index: int) -> None:
            self.index = index

    agents = [people.agent_of(Numbered(index)) for index in range(1000)]  # type: ignore[arg-type]

    assert sum("iPad" in agent for agent in agents) == 100
    assert sum("Windows" in agent for agent in agents) == 300


def test_groups_with_less_than_their_share_of_the_rows_are_named() -> None:
    women = [CustomerFactory(gender="f", locale="zh-CN", country="CN") for _ in range(4)]
    men = [CustomerFactory(gender="m", locale="zh-CN", country="CN") for _ in range(4)]

    card = learned_from.card(people=np.array([customer.pk for customer in (*women, *men[:1])]), moments=(0.0, 86_400.0), features=("order_days",), as_of=NOW)

    assert (card.data_from, card.data_to, card.features) == ("1970-01-01", "1970-01-02", ("order_days",))
    assert ("gender=male", 0.2, 0.5) in card.under_represented
    # Fewer than a hundred rows are too few whatever their share.
    assert ("gender=female", 0.8, 0.5) in card.under_represented
    assert not [group for group, _rows, _everybody in card.under_represented if group.startswith("device")]
