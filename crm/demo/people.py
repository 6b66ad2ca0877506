"""The demo shop's 3,000 customers with the hidden traits that drive what they do.

Nothing here is read by the product: the traits exist so that tests can ask whether the models found them
(docs/demo.md lists each and what should find it).
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from crm.demo.names import CITIES, ENGLISH_FAMILY, ENGLISH_GIVEN, HAN_FAMILY, HAN_GIVEN, PINYIN

DAYS = 730
# Taste -> weight per department (tea, teaware, kitchen, home, clothing, outdoor, stationery, garden).
TASTES: dict[str, tuple[float, ...]] = {
    "tea_lover": (8.0, 5.0, 0.8, 0.5, 0.3, 0.2, 0.6, 0.3),
    "cook": (0.8, 0.6, 9.0, 1.2, 0.3, 0.4, 0.2, 0.8),
    "nester": (0.6, 0.8, 1.5, 8.0, 0.8, 0.2, 0.6, 1.2),
    "dresser": (0.3, 0.3, 0.3, 1.2, 9.0, 0.8, 0.4, 0.1),
    "camper": (0.3, 0.5, 0.8, 0.3, 1.2, 9.0, 0.2, 0.5),
    "writer": (1.5, 0.8, 0.2, 0.8, 0.3, 0.2, 8.0, 0.3),
    "gardener": (0.8, 0.4, 0.8, 1.0, 0.2, 0.6, 0.3, 8.0),
}
TASTE_SHARES = (0.20, 0.16, 0.17, 0.17, 0.11, 0.09, 0.10)
# Orders per year while active: mean of the gamma each taste draws its rate from.
YEARLY_ORDERS = {"tea_lover": 8.4, "cook": 4.9, "nester": 4.6, "dresser": 5.7, "camper": 3.7, "writer": 6.0, "gardener": 5.1}
# Chance of leaving for good after any one order, drawn per person from a beta with these parameters (mean .10: many
# hardly ever leave, some leave after the first order). A bad experience (damaged or wrong goods) overrides it.
LEAVE_AFTER_ORDER = (0.6, 5.4)
LEAVE_AFTER_BAD = 0.40


@dataclass(slots=True)
class Person:
    """One customer. Days count from the first day of the two years; hidden traits come last."""

    index: int
    user_id: str
    name: str
    email: str
    phone: str
    language: str
    country: str
    city: str
    time_zone: str
    gender: str
    birth_date: date | None
    arrived_day: float
    accepts_mail: bool
    taste: str
    orders_per_day: float
    leaves_after_order: float
    price_sensitivity: float
    likes_finish: int
    is_browser_only: bool


def build(*, first_day: date, count: int = 3000, seed: int = 11) -> list[Person]:
    """Return `count` people, the same for the same seed; only calendar dates move with `first_day`."""
    random = np.random.default_rng(seed)
    tastes = list(TASTES)
    people: list[Person] = []
    for index in range(count):
        chinese = random.random() < 0.56
        gender = "female" if random.random() < 0.58 else "male"
        name, handle = _name(random, chinese=chinese, gender=gender)
        country, city, zone = CITIES["zh" if chinese else "en"][int(random.integers(len(CITIES["zh" if chinese else "en"])))]
        taste = tastes[int(random.choice(len(tastes), p=TASTE_SHARES))]
        # A growing shop: arrivals get denser towards today. A few come in the last month and have done little.
        arrived = DAYS * float(random.beta(1.25, 1.0)) * 0.995
        age = int(random.integers(19, 68))
        people.append(
            Person(
                index=index,
                user_id=f"u{index + 1:05d}",
                name=name,
                email=f"{handle}.{index + 1}@mail.example",
                phone=f"+86 1{random.integers(30, 99)} {random.integers(1000, 9999)} {random.integers(1000, 9999)}"
                if chinese
                else f"+44 7{random.integers(100, 999)} {random.integers(100000, 999999)}",
                language="zh-hans" if chinese else "en",
                country=country,
                city=city,
                time_zone=zone,
                gender=gender if random.random() < 0.7 else "",
                birth_date=first_day - timedelta(days=age * 365 + int(random.integers(365))) if random.random() < 0.55 else None,
                arrived_day=arrived,
                accepts_mail=bool(random.random() < 0.72),
                taste=taste,
                # Shape 1.1: many slow buyers, a few very frequent ones.
                orders_per_day=float(random.gamma(1.1, YEARLY_ORDERS[taste] / 365 / 1.1)) + 0.0012,
                leaves_after_order=float(random.beta(*LEAVE_AFTER_ORDER)),
                price_sensitivity=float(random.beta(1.6, 1.6)),
                likes_finish=int(random.integers(2)),
                is_browser_only=bool(random.random() < 0.12),
            )
        )
    return people


def _name(random: np.random.Generator, *, chinese: bool, gender: str) -> tuple[str, str]:
    if chinese:
        family = HAN_FAMILY[int(random.integers(len(HAN_FAMILY)))]
        given = HAN_GIVEN[gender][int(random.integers(len(HAN_GIVEN[gender])))]
        return family + given, PINYIN[family]
    given = ENGLISH_GIVEN[gender][int(random.integers(len(ENGLISH_GIVEN[gender])))]
    family = ENGLISH_FAMILY[int(random.integers(len(ENGLISH_FAMILY)))]
    return f"{given} {family}", f"{given}.{family}".lower().replace(" ", "")


# What browsers call themselves: six people in ten use a phone, three a computer, one a tablet.
_AGENTS = {
    "phone": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    ),
    "computer": ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",),
    "tablet": ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/604.1",),
}
_DEVICES = ("phone",) * 6 + ("computer",) * 3 + ("tablet",)


def agent_of(person: Person) -> str:
    """Return the user agent this person visits with; a device says nothing of what they buy."""
    # By the number alone, so that nothing else of the shop depends on it; 7 is coprime to 10 and mixes neighbours.
    agents = _AGENTS[_DEVICES[person.index * 7 % 10]]
    return agents[person.index // 10 % len(agents)]
