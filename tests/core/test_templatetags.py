"""Numbers, money and dates as both languages write them, and the small parts of templates."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import heroicons
import pytest
from django import forms
from django.contrib.messages.storage.base import Message
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import translation

from crm.core import countries, formats
from crm.core.money import Money
from crm.core.templatetags import ui
from crm.core.templatetags.dates import ago

NOON = datetime(2026, 11, 3, 2, 42, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _shop(settings: object) -> None:
    settings.CRM_CURRENCY = "CNY"  # type: ignore[attr-defined]
    settings.TIME_ZONE = "Asia/Shanghai"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("write", "english", "chinese"),
    [
        (lambda: formats.number("1234567.891"), "1,234,567.89", "1,234,567.89"),
        (lambda: formats.number(1234.5, 0), "1,234", "1,234"),
        (lambda: formats.compact(12345), "12.3K", "1.2万"),
        (lambda: formats.percent(0.4231, 1), "42.3%", "42.3%"),
        (lambda: formats.signed_percent(-0.012), "−1.2%", "−1.2%"),
        (lambda: formats.signed_percent(0.042), "+4.2%", "+4.2%"),
        (lambda: formats.money(Decimal("1234.5"), "CNY"), "¥1,234.50", "¥1,234.50"),
        (lambda: formats.money(Money(Decimal(5), "USD")), "$5.00", "US$5.00"),
        (lambda: formats.money(12, "JPY"), "JPY\N{NO-BREAK SPACE}12", "JP¥12"),
        (lambda: formats.money_compact(1234567), "¥1.2M", "¥123.5万"),
        (lambda: formats.money_compact("2258.45"), "¥2.3K", "¥2,258"),
        (lambda: formats.money_compact(50_312), "¥50.3K", "¥5.03万"),
        (lambda: formats.money("-38.49", "CNY"), "−¥38.49", "−¥38.49"),
        (lambda: formats.points(0.0764), "7.6 points", "7.6 个百分点"),
        (lambda: formats.day(NOON), "Nov 3, 2026", "2026年11月3日"),
        (lambda: formats.month(NOON), "November 2026", "2026年11月"),
        (lambda: formats.moment(NOON), "Nov 3, 2026, 10:42", "2026年11月3日 10:42"),
        (lambda: formats.ago(NOON, NOON + timedelta(hours=3)), "3 hours ago", "3小时前"),
        (lambda: formats.ago(NOON, NOON - timedelta(days=2)), "in 2 days", "2天后"),
        (lambda: formats.ago(date(2026, 11, 2), NOON), "1 day ago", "1天前"),
    ],
)
def test_each_language_writes_it_its_own_way(write: object, english: str, chinese: str) -> None:
    with translation.override("en"):
        assert write() == english  # type: ignore[operator]
    with translation.override("zh-hans"):
        assert write() == chinese  # type: ignore[operator]


def test_two_currencies_never_share_a_sign() -> None:
    with translation.override("en"):
        assert formats.money(1, "CNY")[0] == "¥"
        assert "¥" not in formats.money(1, "JPY")


def test_a_shop_abroad_gets_its_own_short_sign(settings: object) -> None:
    settings.CRM_CURRENCY = "HKD"  # type: ignore[attr-defined]

    with translation.override("en"):
        assert formats.money(1, "HKD") == "$1.00"
        assert formats.money(1, "USD") == "USD\N{NO-BREAK SPACE}1.00"
        assert formats.money(1, "CNY") == "CN¥1.00"


@pytest.mark.parametrize(
    "write",
    [
        formats.number,
        formats.compact,
        formats.percent,
        formats.signed_percent,
        formats.money,
        formats.money_compact,
        formats.day,
        formats.month,
        formats.moment,
        formats.ago,
        formats.duration,
        formats.bytes_size,
        ago,
    ],
)
@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "words", ""])
def test_what_is_missing_or_nonsense_reads_as_a_dash(write: object, value: object) -> None:
    assert write(value) == "–"  # type: ignore[operator]


def test_days_follow_the_teams_zone_not_utc() -> None:
    late = datetime(2026, 11, 3, 17, 0, tzinfo=UTC)

    assert formats.day(late) == "Nov 4, 2026"
    assert formats.clock_time(late) == "01:00"


def test_ago_carries_the_exact_moment() -> None:
    html = ago(NOON)

    assert html.startswith('<time datetime="2026-11-03T02:42:00+00:00" title="Nov 3, 2026, 10:42">')


def render(source: str, path: str = "/") -> str:
    return Template("{% load ui money dates %}" + source).render(Context({"request": RequestFactory().get(path)}))


def test_icon_is_silent_unless_labelled() -> None:
    assert 'aria-hidden="true"' in render('{% icon "users" %}')
    labelled = render('{% icon "users" label="A & <b>" %}')
    assert 'role="img" aria-label="A &amp; &lt;b&gt;"' in labelled
    assert "aria-hidden" not in labelled


def test_unknown_icon_fails_loudly() -> None:
    with pytest.raises(heroicons.IconDoesNotExist):
        render('{% icon "no-such-icon" %}')


@pytest.mark.parametrize(
    ("tag", "query"),
    [
        ("{% query_with page=2 %}", "?q=tea+%26+cake&amp;stage=new&amp;page=2"),
        ("{% query_with stage='loyal' %}", "?q=tea+%26+cake&amp;stage=loyal"),
        ("{% query_with stage=None q='' %}", "?"),
    ],
)
def test_query_with_changes_one_parameter_and_leaves_the_page_behind(tag: str, query: str) -> None:
    assert render(tag, "/customers/?q=tea+%26+cake&stage=new&page=7") == query


def test_remembered_words_are_printed_and_kept() -> None:
    assert render("<title>{% remember 'name' %} a &amp; b {% endremember %}</title><h1>{{ name }}</h1>") == "<title> a &amp; b </title><h1>a &amp; b</h1>"


@pytest.mark.parametrize(("name", "letters"), [("Ana Maria Lopez", "AL"), ("王小明", "王"), ("bob@shop.example", "B"), ("", "?"), (None, "?")])
def test_initials(name: str | None, letters: str) -> None:
    assert ui.initials(name) == letters


@pytest.mark.parametrize(
    ("state", "tone"),
    [("done", "success"), ("at risk", "warning"), ("At-Risk", "warning"), ("failed", "danger"), ("new", "info"), ("whatever", "neutral"), (None, "neutral")],
)
def test_tone_of_a_state(state: str | None, tone: str) -> None:
    assert ui.tone_for(state) == tone


def test_a_message_may_carry_the_path_that_undoes_it() -> None:
    assert ui.undo_url(Message(25, "Deleted", extra_tags="quiet undo=/tags/3/restore/")) == "/tags/3/restore/"
    assert ui.undo_url(Message(25, "Deleted")) == ""


def test_a_field_with_errors_points_at_them() -> None:
    class TagForm(forms.Form):
        name = forms.CharField(help_text="Short.")

    html = ui.described(TagForm({"name": ""})["name"])

    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_name-help id_name-error"' in html


@pytest.mark.parametrize("written", ["GB", "uk", "United Kingdom", "英国", " united kingdom "])
def test_countries_are_named_in_the_readers_language(written):
    with translation.override("en"):
        assert countries.named(written) == "United Kingdom"
    with translation.override("zh-hans"):
        assert countries.named(written) == "英国"


def test_what_is_no_country_stays_as_written():
    assert countries.named("Channel Islands") == "Channel Islands"
    assert countries.named("") == "–"


@pytest.mark.parametrize(("language", "expected"), [("en", "tea, &lt;cups&gt;"), ("zh-hans", "tea、&lt;cups&gt;")])
def test_words_are_listed_in_the_readers_language(language, expected):
    with translation.override(language):
        assert Template("{% load ui %}{{ words|listed }}").render(Context({"words": ["tea", "<cups>"]})) == expected
