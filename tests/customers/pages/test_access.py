"""Who may open the customer and segment pages."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.customers.pages.conftest import client_of
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", ["customers:list", "segments:list", "segments:new"])
def test_pages_are_for_staff_with_the_permission(world: World, name: str) -> None:
    url = reverse(name)

    assert Client().get(url).headers["Location"].startswith("/login/")
    assert client_of(world.outsider).get(url).status_code == 403
    assert client_of(world.marketer).get(url).status_code == 200


def test_agents_see_customers_but_neither_segments_nor_exports(world: World) -> None:
    agent = client_of(world.teammate)

    assert agent.get(reverse("customers:detail", args=[world.loyal.pk])).status_code == 200
    assert agent.get(reverse("segments:list")).status_code == 403
    assert agent.get(reverse("customers:export")).status_code == 403
    analyst = client_of(world.analyst)
    assert analyst.post(reverse("customers:tags", args=[world.loyal.pk]), {"tag": "x"}).status_code == 403
    assert analyst.get(reverse("segments:new")).status_code == 403
    world.loyal.refresh_from_db()
    assert world.loyal.tags == ["vip"]
