"""Every filter and every order of the customers list through its door, whole pages by one signed-in person."""

import gc
import html
import os
import re
import statistics
import time
from collections.abc import Iterator
from itertools import cycle, islice

from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.core.models import User
from crm.core.models.people import Role
from customers.models import Customer, Portrait, Product, Segment, SegmentMembership
from customers.models.scores import RfmGroup, Stage
from customers.paging import ORDERS

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
TARGET_MS = 150


def lines(customers: int) -> Iterator[str]:
    """Yield per filter and per order the median and the 95th percentile in ms; then filters and orders together."""
    client = _client()
    worst = []
    # As crm/asgi.py does.
    gc.collect()
    gc.freeze()
    # No number of matches is remembered from before; the menus' tags and countries are, as they always are.
    cache.clear()
    client.get(reverse("customers:list"))
    yield f"customers list at {customers:,} customers, whole pages, {ROUNDS} requests each   target p95 {TARGET_MS} ms"
    cases = {**{f"order {name}": [f"sort={name}"] for name in ORDERS}, **_filters()}
    for name, queries in cases.items():
        middle, high = _measured(client, queries)
        worst.append(high)
        yield f"  {name:<40} median {middle:>6.0f} ms   p95 {high:>6.0f} ms{'' if high <= TARGET_MS else '   OVER'}"
    deep = _deep(client, 20)
    yield f"  {'the 20 pages after the first':<40} median {statistics.median(deep):>6.0f} ms   p95 {_p95(deep):>6.0f} ms"
    yield f"  within the target: {sum(high <= TARGET_MS for high in worst)} of {len(worst)}; slowest p95 {max(worst):.0f} ms"
    if os.environ.get("BENCH_PAIRS", "1") != "1":
        return
    together = {
        f"{name} {order}": [f"{query}&sort={order}" for query in queries]
        for name, queries in _filters().items()
        if name != "segment, large"
        for order in ORDERS
    }
    slow = sorted(((max(_measured(client, queries, rounds=3)), name) for name, queries in together.items()), reverse=True)
    yield f"  filter with order, {len(slow)} pairs, slowest of 3 requests: {sum(high <= TARGET_MS for high, _name in slow)} within the target; the slowest:"
    for high, name in slow[:8]:
        yield f"    {name:<50} {high:>6.0f} ms"


def _filters() -> dict[str, list[str]]:
    """Return per filter the queries to ask: common values and rare ones."""
    popular, middling, rare = (_product(share) for share in (0.001, 0.3, 0.95))
    stages = Portrait.objects.values_list("stage", flat=True).distinct()
    groups = Portrait.objects.exclude(rfm_group="").values_list("rfm_group", flat=True).distinct()
    return {
        "name, rare": ["q=novak1234", "q=chen4347", "q=lopez77", "q=wang875873", "q=陈雅婷"],
        "name, common": ["q=novak", "q=chen", "q=王", "q=smith", "q=an"],
        "stage": [f"stage={stage}" for stage in Stage.values if stage in set(stages)],
        "RFM group": [f"group={group}" for group in RfmGroup.values if group in set(groups)],
        "country": [f"country={name}" for name in ("China", "Singapore", "Germany", "United States", "Nowhere")],
        "contactable": ["contactable=yes", "contactable=no"],
        "orders": ["orders=yes", "orders=no"],
        "spent at least": ["min_spend=1", "min_spend=500", "min_spend=5000", "min_spend=50000", "min_spend=1000000"],
        "tag": ["tag=vip", "tag=nothing"],
        "segment, small": [f"segment={_segment(300)}"],
        "segment, large": [f"segment={_segment(200_000)}"],
        "product, popular": [f"product={popular}"],
        "product, middling": [f"product={middling}"],
        "product, rare": [f"product={rare}"],
    }


def _product(share: float) -> int:
    """Return a product that far down the list of the most sold; the generated shop sells its first ones most."""
    products = list(Product.objects.order_by("id").values_list("pk", flat=True))
    return products[int(share * (len(products) - 1))]


def _segment(size: int) -> int:
    """Return a stored segment with that many members, or everybody."""
    segment, is_new = Segment.objects.get_or_create(name=f"Scale {size}", defaults={"rule": {"op": "all", "rules": []}})
    if is_new:
        ids = Customer.objects.order_by("public_id").values_list("pk", flat=True)[:size]
        now = timezone.now()
        SegmentMembership.objects.bulk_create((SegmentMembership(segment=segment, customer_id=pk, entered_at=now) for pk in ids), batch_size=5_000)
    return segment.pk


def _client() -> Client:
    user, _is_new = User.objects.get_or_create(username="scale", defaults={"role": Role.MARKETER, "email": "scale@mail.example"})
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def _measured(client: Client, queries: list[str], rounds: int = 0) -> tuple[float, float]:
    """Return (median, 95th percentile) in ms over requests that take the queries in turn; the first of each has to count the matches."""
    url = reverse("customers:list")
    taken = [_ms(client, f"{url}?{query}") for query in islice(cycle(queries), rounds or max(ROUNDS, len(queries)))]
    return statistics.median(taken), _p95(taken)


def _deep(client: Client, pages: int) -> list[float]:
    url, taken = reverse("customers:list"), []
    for _page in range(pages):
        began = time.perf_counter()
        text = client.get(url).content.decode()
        taken.append((time.perf_counter() - began) * 1000)
        link = re.search(r'rel="next" href="([^"]+)"', text)
        assert link is not None, url
        url = html.unescape(link[1])
    return taken


def _ms(client: Client, url: str) -> float:
    began = time.perf_counter()
    answer = client.get(url)
    seconds = time.perf_counter() - began
    assert answer.status_code == 200, url
    return seconds * 1000


def _p95(taken: list[float]) -> float:
    return sorted(taken)[max(round(0.95 * len(taken)) - 1, 0)]
