"""Two years of the demo shop: who bought, browsed, sent back and wrote what, drawn from the hidden traits.

The process is the one the value model assumes (gamma rates, a chance of leaving after each order) with real shops'
complications on top: seasons per department, two sale weeks a year, things bought together, bad experiences.
"""

import math
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from crm.demo.catalogue import DEPARTMENTS, DemoProduct
from crm.demo.people import DAYS, LEAVE_AFTER_BAD, TASTES, Person

# Department -> (day of the year of its high season, strength). Tea peaks before new year, outdoor in June, garden in April.
SEASONS = {
    "tea": (350, 0.5),
    "teaware": (345, 0.4),
    "kitchen": (320, 0.2),
    "home": (300, 0.3),
    "clothing": (290, 0.4),
    "outdoor": (165, 0.8),
    "stationery": (245, 0.4),
    "garden": (110, 0.8),
}
# Sale weeks: days of the year 165-171 (618) and 312-318 (double eleven), when price-sensitive people buy.
SALES = ((165, 171), (312, 318))
# Shelf bought -> shelf that goes into the same basket, with its chance. What co-occurrence should find.
TOGETHER = {
    "teaware/kettles": ("teaware/cups", 0.45), "teaware/pots": ("teaware/trays", 0.45), "tea/green": ("teaware/strainers", 0.25), "tea/puer": ("teaware/trays", 0.30),
    "outdoor/tents": ("outdoor/sleep", 0.55), "outdoor/sleep": ("outdoor/light", 0.30), "outdoor/cook": ("outdoor/light", 0.25), "kitchen/pans": ("kitchen/knives", 0.30),
    "kitchen/bake": ("kitchen/storage", 0.30), "home/bedding": ("home/textiles", 0.40), "home/lamps": ("home/scent", 0.25), "clothing/shirts": ("clothing/trousers", 0.40),
    "clothing/outer": ("clothing/knit", 0.30), "stationery/notebooks": ("stationery/pens", 0.50), "stationery/calligraphy": ("stationery/pens", 0.20), "garden/pots": ("garden/soil", 0.50), "garden/seeds": ("garden/tools", 0.35),
}  # fmt: skip
BAD_RATE = 0.045
# What reviewers mean by "soon" when they write of their next order.
SOON_DAYS = 90


@dataclass(frozen=True, slots=True)
class DemoLine:
    product: DemoProduct
    quantity: int
    unit_amount: Decimal


@dataclass(slots=True)
class DemoOrder:
    """One order. `bad` is hidden: something arrived broken or wrong."""

    number: str
    person: Person
    day: float
    lines: list[DemoLine]
    discount: Decimal
    coupon: str
    bad: bool
    session: str = ""

    @property
    def total(self) -> Decimal:
        return sum((line.unit_amount * line.quantity for line in self.lines), Decimal(0)) - self.discount


@dataclass(frozen=True, slots=True)
class DemoReturn:
    number: str
    order: DemoOrder
    day: float
    line: DemoLine
    reason: str


@dataclass(frozen=True, slots=True)
class DemoReview:
    """One review. `again` is hidden: whether the person orders again within SOON_DAYS, as far as the two years tell."""

    external_id: str
    order: DemoOrder
    product: DemoProduct
    day: float
    rating: int
    again: bool


@dataclass(frozen=True, slots=True)
class DemoEvent:
    """One tracking call. name: the e-commerce event; product None for pages."""

    message_id: str
    person: Person
    anonymous: bool
    day: float
    name: str
    product: DemoProduct | None


@dataclass(slots=True)
class History:
    orders: list[DemoOrder] = field(default_factory=list)
    returns: list[DemoReturn] = field(default_factory=list)
    reviews: list[DemoReview] = field(default_factory=list)
    events: list[DemoEvent] = field(default_factory=list)
    left: dict[int, float] = field(default_factory=dict)


def build(people: list[Person], products: list[DemoProduct], *, first_day_of_year: int, seed: int = 13, events_target: int = 150_000) -> History:
    """Return everything that happened. first_day_of_year: 1-366, so that seasons fall right."""
    random = np.random.default_rng(seed)
    shop = _Shop(products, random, first_day_of_year)
    history = History()
    for person in people:
        if not person.is_browser_only:
            _live(person, shop, random, history)
    history.orders.sort(key=lambda order: order.day)
    for number, order in enumerate(history.orders):
        order.number = f"MM{100000 + number}"
    _after_sales(history, random)
    _browse(people, shop, random, history, events_target)
    return history


class _Shop:
    """Products by shelf with the weights that tastes and seasons give them."""

    def __init__(self, products: list[DemoProduct], random: np.random.Generator, first_day_of_year: int) -> None:
        self.products = products
        self.first_day_of_year = first_day_of_year
        self.departments = [department.slug for department in DEPARTMENTS]
        self.by_shelf: dict[str, list[DemoProduct]] = {}
        for product in products:
            self.by_shelf.setdefault(product.shelf_slug, []).append(product)
        self.shelves = [[shelf.slug for shelf in department.shelves] for department in DEPARTMENTS]
        # Each product's own pull, so that there are best-sellers.
        self.appeal = np.exp(random.normal(0, 0.7, len(products)))

    def year_day(self, day: float) -> float:
        return (self.first_day_of_year + day - 1) % 365.25

    def season(self, department: str, day: float) -> float:
        peak, strength = SEASONS[department]
        return 1 + strength * math.cos(2 * math.pi * (self.year_day(day) - peak) / 365.25)

    def on_sale(self, day: float) -> bool:
        return any(start <= self.year_day(day) <= end for start, end in SALES)

    def choose(self, person: Person, day: float, random: np.random.Generator) -> DemoProduct:
        """Return a product to the person's taste, season, finish and purse."""
        weights = np.array([weight * self.season(slug, day) for weight, slug in zip(TASTES[person.taste], self.departments, strict=True)])
        department = int(random.choice(len(weights), p=weights / weights.sum()))
        # Everyone has two favourite shelves per department, fixed by their number.
        preference = np.ones(5)
        preference[(person.index + department) % 5] = 4.0
        preference[(person.index * 3 + department + 1) % 5] += 2.0
        shelf = self.shelves[department][int(random.choice(5, p=preference / preference.sum()))]
        return self.on_shelf(shelf, person, random)

    def on_shelf(self, shelf: str, person: Person, random: np.random.Generator) -> DemoProduct:
        candidates = self.by_shelf[shelf]
        prices = np.array([float(product.price) for product in candidates])
        weights = np.array([self.appeal[product.index] * (2.5 if product.finish == person.likes_finish else 1.0) for product in candidates])
        weights *= np.exp(-2.0 * person.price_sensitivity * prices / prices.max())
        return candidates[int(random.choice(len(candidates), p=weights / weights.sum()))]


def _live(person: Person, shop: _Shop, random: np.random.Generator, history: History) -> None:
    """Walk one person's buying life from arrival until they leave or today."""
    day = person.arrived_day + float(random.exponential(6.0))
    while day < DAYS:
        order = _order(person, day, shop, random)
        history.orders.append(order)
        if random.random() < (LEAVE_AFTER_BAD if order.bad else person.leaves_after_order):
            history.left[person.index] = day
            return
        day = _next_day(person, day, shop, random)


def _next_day(person: Person, day: float, shop: _Shop, random: np.random.Generator) -> float:
    """Return when the next order falls, thinning a Poisson process so that sales pull price-sensitive people."""
    ceiling = person.orders_per_day * 4.0
    while True:
        day += float(random.exponential(1 / ceiling))
        if day >= DAYS:
            return day
        strength = 1 + 3.0 * person.price_sensitivity if shop.on_sale(day) else 1.0
        if random.random() < strength / 4.0:
            return day


def _order(person: Person, day: float, shop: _Shop, random: np.random.Generator) -> DemoOrder:
    chosen: dict[int, DemoLine] = {}
    for _ in range(1 + int(random.poisson(0.8))):
        product = shop.choose(person, day, random)
        chosen[product.index] = DemoLine(product, 1 + int(random.random() < 0.18), product.price)
        partner = TOGETHER.get(product.shelf_slug)
        if partner and random.random() < partner[1]:
            other = shop.on_shelf(partner[0], person, random)
            chosen.setdefault(other.index, DemoLine(other, 1, other.price))
    lines = list(chosen.values())
    goods = sum((line.unit_amount * line.quantity for line in lines), Decimal(0))
    uses_coupon = random.random() < (0.05 + 0.75 * person.price_sensitivity * (1.0 if shop.on_sale(day) else 0.35))
    discount = (goods / 10).quantize(Decimal("0.01")) if uses_coupon else Decimal(0)
    coupon = ("SALE10" if shop.on_sale(day) else "WELCOME10") if uses_coupon else ""
    return DemoOrder("", person, day, lines, discount, coupon, bool(random.random() < BAD_RATE))


def _again(history: History, days: dict[int, list[float]], person: Person, day: float) -> bool:
    """Return whether the person orders within SOON_DAYS of that day; of what lies beyond today, whether they have not left."""
    following = next((later for later in days[person.index] if later > day), math.inf)
    return following <= day + SOON_DAYS or (day + SOON_DAYS > DAYS and person.index not in history.left)


def _after_sales(history: History, random: np.random.Generator) -> None:
    days: dict[int, list[float]] = {}
    for order in history.orders:
        days.setdefault(order.person.index, []).append(order.day)
    for order in history.orders:
        for line in order.lines:
            rate = 0.75 if order.bad else line.product.return_rate * (1.4 - 0.8 * (line.product.quality > 0.25))
            if random.random() < rate and order.day + 9 < DAYS:
                shelf = line.product.shelf_slug
                reason = (
                    "damaged"
                    if order.bad
                    else (
                        "size"
                        if shelf.startswith("clothing/") and random.random() < 0.7
                        else str(random.choice(["not_as_expected", "quality", "changed_mind"]))
                    )
                )
                history.returns.append(DemoReturn(f"R{order.number[2:]}-{line.product.index}", order, order.day + 4 + float(random.random() * 5), line, reason))
        if random.random() < 0.22:
            line = order.lines[int(random.integers(len(order.lines)))]
            mood = line.product.quality - (1.4 if order.bad else 0.0) + float(random.normal(0, 0.35))
            rating = int(np.clip(round(3.6 + 1.7 * mood), 1, 5))
            day = order.day + 5 + float(random.exponential(5))
            if day < DAYS:
                history.reviews.append(DemoReview(f"rev-{order.number}", order, line.product, day, rating, _again(history, days, order.person, day)))


def _browse(people: list[Person], shop: _Shop, random: np.random.Generator, history: History, target: int) -> None:
    """Fill the clickstream: views before each order, then idle visits that dry up once someone has left."""
    counter = 0

    def add(person: Person, day: float, name: str, product: DemoProduct | None, *, anonymous: bool = False) -> None:
        nonlocal counter
        history.events.append(DemoEvent(f"demo-{counter}", person, anonymous, day, name, product))
        counter += 1

    first_order: set[int] = set()
    for order in history.orders:
        person, before = order.person, order.person.index not in first_order
        first_order.add(person.index)
        start = order.day - 0.03
        for line in order.lines:
            add(person, start, "Product Viewed", line.product, anonymous=before)
            add(person, start + 0.004, "Product Added", line.product, anonymous=before)
        for step in range(int(random.poisson(1.5))):
            add(person, start - 0.01 * (step + 1), "Product Viewed", shop.choose(person, order.day, random), anonymous=before)
        add(person, order.day - 0.004, "Checkout Started", order.lines[0].product, anonymous=False)
    remaining = max(0, target - counter)
    weights = np.array([(history.left.get(person.index, DAYS) - person.arrived_day + 20) * (0.3 + 80 * person.orders_per_day) for person in people])
    visits = random.multinomial(remaining // 4, weights / weights.sum())
    for person, count in zip(people, visits, strict=True):
        end = min(DAYS, history.left.get(person.index, DAYS) + 12)
        for _ in range(int(count)):
            day = person.arrived_day + float(random.random()) * max(0.5, end - person.arrived_day)
            if day >= DAYS:
                continue
            anonymous = person.index not in first_order
            add(person, day, "Home", None, anonymous=anonymous)
            for step in range(3):
                name = "Product Viewed" if random.random() < 0.93 else "Product Added"
                add(person, day + 0.002 * (step + 1), name, shop.choose(person, day, random), anonymous=anonymous)
    history.events.sort(key=lambda event: (event.day, event.message_id))
