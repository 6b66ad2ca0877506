"""Portraits of past months made afterwards: from the facts of their day alone, marked, never over what was kept in its time."""

from datetime import date, timedelta

import pytest
from django.core.cache import cache
from django.core.management import call_command

from customers import portrait, portrayal_tasks, snapshots
from customers.insights import pages, queries
from customers.models import Customer, Order, Portrait, PortraitSnapshot
from tests.factories import CustomerFactory, SourceFactory
from tests.factories.customers import NOW

pytestmark = pytest.mark.django_db
JUNE, MAY, APRIL = date(2026, 6, 1), date(2026, 5, 1), date(2026, 4, 1)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> list[Customer]:
    """Thirty people who order every 20 to 50 days for the last 200; every third stopped 50 days ago."""
    monkeypatch.setattr("crm.core.clock.now", lambda: NOW)
    source = SourceFactory()
    people = [CustomerFactory(source=source, first_seen_at=NOW - timedelta(days=200), currency="CNY") for _ in range(30)]
    Order.objects.bulk_create(
        Order(source=source, external_id=f"o{number}-{days}", customer=customer, placed_at=NOW - timedelta(days=days), currency="CNY", total_amount=50 + number)
        for number, customer in enumerate(people)
        for days in range(50 if number % 3 == 0 else number % 20, 200, 20 + number)
    )
    return people


def kept() -> dict[tuple[int, date], tuple[object, ...]]:
    found = PortraitSnapshot.objects.values_list("customer_id", "month", "stage", "rfm_group", "value_365", "as_of", "is_rebuilt")
    return {row[:2]: row[2:] for row in found}


def test_a_month_knows_nothing_of_what_came_later(shop: list[Customer]) -> None:
    months = list(snapshots.rebuild(as_of=NOW, months=3))
    with_future = kept()
    PortraitSnapshot.objects.all().delete()
    Order.objects.filter(placed_at__gt=months[1].as_of).delete()
    CustomerFactory(first_seen_at=NOW, last_seen_at=NOW)
    list(snapshots.rebuild(as_of=NOW, months=3))

    assert [month.as_of.date() for month in months] == [JUNE, MAY, APRIL]
    assert [month.customers for month in months] == [30, 30, 30]
    assert {key: row for key, row in kept().items() if key[1] == MAY} == {key: row for key, row in with_future.items() if key[1] == MAY}
    assert all(row[-1] for row in with_future.values())


def test_months_before_the_history_are_not_made(shop: list[Customer]) -> None:
    assert len(list(snapshots.rebuild(as_of=NOW, months=24))) == 5  # June back to February, sixty days after the first order
    PortraitSnapshot.objects.all().delete()
    Order.objects.all().delete()
    assert list(snapshots.rebuild(as_of=NOW)) == []


def test_what_was_kept_in_its_time_stays_and_refusers_are_left_out(shop: list[Customer]) -> None:
    true, refuser = shop[0], shop[1]
    Customer.objects.filter(pk=refuser.pk).update(profiling_refused=True)
    PortraitSnapshot.objects.create(customer=true, month=MAY, stage="loyal", as_of=NOW - timedelta(days=40))
    PortraitSnapshot.objects.create(customer=true, month=JUNE, stage="new", as_of=NOW)

    list(snapshots.rebuild(as_of=NOW, months=2))

    assert (PortraitSnapshot.objects.get(customer=true, month=MAY).stage, PortraitSnapshot.objects.get(customer=true, month=MAY).is_rebuilt) == ("loyal", False)
    assert PortraitSnapshot.objects.get(customer=true, month=JUNE).is_rebuilt
    assert not PortraitSnapshot.objects.filter(customer=refuser).exists()


def test_the_first_refresh_is_followed_by_past_months_and_what_changed(shop: list[Customer]) -> None:
    portrait.refresh(as_of=NOW)
    assert not any(row.changes for row in Portrait.objects.all())

    portrayal_tasks.rebuild_months()

    changed = [row.changes for row in Portrait.objects.all()]
    assert all("since" in each for each in changed)
    assert any("stage" in each or "value_365" in each for each in changed)
    assert not snapshots.is_wanted(as_of=NOW)
    before = kept()
    portrayal_tasks.rebuild_months()
    assert kept() == before


def test_too_large_a_shop_waits_to_be_asked(shop: list[Customer], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(snapshots, "MOST_CUSTOMERS", 10)

    assert not snapshots.is_wanted(as_of=NOW)
    call_command("rebuild_months", "--months", "2")
    assert "60 rows" in capsys.readouterr().out


def test_how_right_values_were_is_never_asked_of_months_made_afterwards(shop: list[Customer]) -> None:
    cache.clear()
    list(snapshots.rebuild(as_of=NOW, months=3))

    assert queries.realised(currency="CNY", since=NOW - timedelta(days=365), at=NOW) == []
    assert all(row[4] for row in queries.flow(since=NOW - timedelta(days=365)))


def test_moves_between_stages_and_rfm_groups_are_told_from_month_to_month(shop: list[Customer]) -> None:
    cache.clear()
    portrait.refresh(as_of=NOW)
    list(snapshots.rebuild(as_of=NOW, months=4))

    found = {sheet.name: sheet for name in ("rfm", "lifecycle") for sheet in pages.insight_page(name=name, params={}, at=NOW).sheets}

    for name in ("flow", "group-flow"):
        assert sum(int(row[2]) for row in found[name].rows) == 4 * 30  # type: ignore[call-overload]
        assert "made afterwards" in found[name].note
    assert {row[0] for row in found["group-months"].rows} == {"2026-03-01", "2026-04-01", "2026-05-01", "2026-06-01"}
