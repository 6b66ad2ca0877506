"""What a message names: order number, product, date, amount of money, size, colour; in English and Chinese, by rules.

Rules and not a model: the kinds are closed, a wrong one is worse than a missing one, and each find can be pointed at in
the text. Dates are resolved against the day the message was sent.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

ORDER, PRODUCT, DATE, AMOUNT, SIZE, COLOUR = "order", "product", "date", "amount", "size", "colour"
# A pasted document is not searched beyond this many characters.
SEARCHED = 4000
# Letters that an expression which ignores case takes for i, s and k, though lower() leaves them others: "frıday" is a Friday.
_ALIKE = str.maketrans("İıſ\N{KELVIN SIGN}", "iisk")


@dataclass(frozen=True, slots=True)
class Entity:
    """One find. text: as written, text[start:end] of the message. value: order number in capitals, product id, ISO date,
    'CNY 199.00' ('?' where the currency is not said), size in capitals, colour's English name.
    """

    kind: str
    text: str
    value: str
    start: int
    end: int

    def as_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "text": self.text, "value": self.value, "start": self.start, "end": self.end}


def extract(text: str, *, today: date, products: Mapping[str, str] | None = None) -> list[Entity]:
    """Return what the message names, in the order of the text, without overlaps.

    products: lower-case product name or code -> its id; names shorter than three characters are not looked for.
    """
    text = text[:SEARCHED]
    found: list[Entity] = []
    # The surer kind first: "¥199" is an amount before 199 could be anything else.
    for rule in (_amounts, _dates, _sizes, _orders, _colours):
        _keep(found, rule(text, today))
    _keep(found, _products(text, products or {}))
    return sorted(found, key=lambda entity: entity.start)


def _keep(found: list[Entity], more: list[Entity]) -> None:
    for entity in more:
        if all(entity.end <= other.start or entity.start >= other.end for other in found):
            found.append(entity)


def _lower(text: str) -> str:
    """Return the text in lower case, as long as before and as the tables below spell it."""
    return text.translate(_ALIKE).lower()


def _found(kind: str, match: "re.Match[str]", value: str) -> Entity:
    return Entity(kind, match.group(), value, match.start(), match.end())


# ---- Money ---------------------------------------------------------------------------------------------------------

_CURRENCY = {"¥": "CNY", "￥": "CNY", "rmb": "CNY", "cny": "CNY", "yuan": "CNY", "元": "CNY", "块": "CNY", "块钱": "CNY", "人民币": "CNY", "$": "USD", "usd": "USD",
             "us$": "USD", "dollars": "USD", "dollar": "USD", "bucks": "USD", "美元": "USD", "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "欧元": "EUR", "£": "GBP",
             "gbp": "GBP", "pounds": "GBP", "英镑": "GBP"}  # fmt: skip
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,7}(?:\.\d{1,2})?"
_MONEY = re.compile(
    rf"(?:(?P<before>us\$|[¥￥$€£]|\b(?:rmb|cny|usd|eur|gbp))\s?(?P<first>{_NUMBER}))"
    rf"|(?:(?<![\d.,])(?P<second>{_NUMBER})\s?(?P<after>块钱|人民币|美元|欧元|英镑|元|块(?!儿)|(?:rmb|cny|yuan|usd|dollars?|bucks|eur|euros?|gbp|pounds)\b|[€£]))",
    re.IGNORECASE,
)


def _amounts(text: str, _today: date) -> list[Entity]:
    found = []
    for match in _MONEY.finditer(text):
        sign = (match["before"] or match["after"]).lower()
        number = (match["first"] or match["second"]).replace(",", "")
        found.append(_found(AMOUNT, match, f"{_CURRENCY.get(sign, '?')} {float(number):.2f}"))
    return found


# ---- Dates ---------------------------------------------------------------------------------------------------------

_MONTHS = {name: number for number, names in enumerate(
    ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august", "sep sept september", "oct october", "nov november",
     "dec december"), start=1) for name in names.split()}  # fmt: skip
_DAYS = {name: number for number, names in enumerate(
    ("monday mon 一", "tuesday tue 二", "wednesday wed 三", "thursday thu 四", "friday fri 五", "saturday sat 六", "sunday sun 日 天")) for name in names.split()}  # fmt: skip
_COUNT = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10, "couple": 2, "一": 1, "两": 2, "二": 2, "三": 3, "四": 4, "五": 5,
          "六": 6, "七": 7, "八": 8, "九": 9, "十": 10, "半": 0}  # fmt: skip
_RELATIVE = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1, "the day before yesterday": -2, "the day after tomorrow": 2, "今天": 0, "今日": 0, "今晚": 0,
             "明天": 1, "明日": 1, "后天": 2, "昨天": -1, "昨日": -1, "昨晚": -1, "前天": -2}  # fmt: skip
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_WEEKDAY = "|".join(sorted((name for name in _DAYS if name.isascii()), key=len, reverse=True))
_ISO = re.compile(r"\b(20\d{2})[-/.](\d{1,2})[-/.](\d{1,2})\b")
_ENGLISH = re.compile(
    rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_MONTH})|({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?)\b(?:,?\s+(20\d{{2}}))?", re.IGNORECASE
)
_CHINESE = re.compile(r"(?:(20\d{2})\s*年\s*)?(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?")
_WORD = re.compile(
    r"\b(?:" + "|".join(sorted((w for w in _RELATIVE if w.isascii()), key=len, reverse=True)) + r")\b|" + "|".join(w for w in _RELATIVE if not w.isascii()),
    re.IGNORECASE,
)
_AGO = re.compile(
    r"\b(a couple of|\d{1,3}|a|one|two|three|four|five|six|seven|ten)\s+(day|week|month)s?\s+ago\b|(\d{1,3}|[一两二三四五六七八九十])\s*(天|周|个?星期|个?礼拜|个月)(?:以?前|之前)",
    re.IGNORECASE,
)
_NEXT = re.compile(rf"\b(last|next|this)?\s*\b({_WEEKDAY})\b|(上|下|这|本)?(?:周|星期|礼拜)([一二三四五六日天])", re.IGNORECASE)


def _dates(text: str, today: date) -> list[Entity]:
    found: list[Entity] = []
    rules: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], date], date | None]], ...] = (
        (_ISO, lambda m, _: _day(int(m[1]), int(m[2]), int(m[3]))),
        (_ENGLISH, _written),
        (_CHINESE, lambda m, now: _near(int(m[2]), int(m[3]), now, year=int(m[1]) if m[1] else None)),
        (_AGO, _ago),
        (_WORD, lambda m, now: now + timedelta(days=_RELATIVE[_lower(m.group())])),
        (_NEXT, _weekday),
    )
    for pattern, resolve in rules:
        more = [_found(DATE, match, day.isoformat()) for match in pattern.finditer(text) if (day := resolve(match, today))]
        _keep(found, more)
    return found


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _near(month: int, day: int, today: date, *, year: int | None) -> date | None:
    """Return the date; without a year, the one nearest to today, since visitors speak of last week's and next week's."""
    if year is not None:
        return _day(year, month, day)
    near = [found for offset in (-1, 0, 1) if (found := _day(today.year + offset, month, day))]
    return min(near, key=lambda found: abs((found - today).days), default=None)


def _written(match: "re.Match[str]", today: date) -> date | None:
    day, month = (match[1], match[2]) if match[1] else (match[4], match[3])
    return _near(_MONTHS[_lower(month)], int(day), today, year=int(match[5]) if match[5] else None)


def _ago(match: "re.Match[str]", today: date) -> date | None:
    count, unit = (match[1], match[2]) if match[1] else (match[3], match[4])
    count = "couple" if "couple" in _lower(count) else _lower(count)
    number = int(count) if count.isdecimal() else _COUNT[count]
    days = 7 if unit[0] in "wW周" or "星期" in unit or "礼拜" in unit else 30 if "month" in unit.lower() or "月" in unit else 1
    return today - timedelta(days=number * days)


def _weekday(match: "re.Match[str]", today: date) -> date | None:
    name, side = (_lower(match[2]), _lower(match[1] or "")) if match[2] else (match[4], match[3] or "")
    if name.isascii() and len(name) <= 3 and not side:
        # "sun", "sat" and "wed" alone are words before they are days.
        return None
    number = _DAYS[name]
    if side in {"last", "上"}:
        return today - timedelta(days=today.weekday() + 7 - number) if side == "上" else today - timedelta(days=(today.weekday() - number) % 7 or 7)
    if side in {"next", "下"}:
        return today + timedelta(days=7 - today.weekday() + number)
    if side in {"this", "这", "本"}:
        return today + timedelta(days=number - today.weekday())
    return today + timedelta(days=(number - today.weekday()) % 7)


# ---- Orders, sizes, colours, products ------------------------------------------------------------------------------

# Letters then digits, digits with dashes, or digits alone of an order's length (phone numbers have 11 and begin with 1).
_NUMBERED = re.compile(r"(?<![A-Za-z0-9])#?([A-Za-z]{1,6}[-#]?\d{3,20}(?:-\d{2,10})*|\d{5,20}(?:-\d{2,10})*|\d{3,8}-\d{3,10})(?![A-Za-z0-9])")
_PHONE = re.compile(r"1[3-9]\d{9}")


def _orders(text: str, _today: date) -> list[Entity]:
    return [Entity(ORDER, match[1], match[1].upper(), match.start(1), match.end(1)) for match in _NUMBERED.finditer(text) if not _PHONE.fullmatch(match[1])]


_SIZED = re.compile(
    r"\bsize\s+([xsml\d][\w./]{0,4})\b|(?<![A-Za-z0-9])(x{0,4}[sl]|m|[2-5]xl)\s*(?:码|号|size\b)|(?<![\w.])(XX?XL|XX?L|XL|XXS|XS|[2-5]XL)(?![\w])|(?<![\d.])(3[4-9]|4[0-8])\s*码"
    r"|(?<![A-Za-z0-9])(S|M|L)(?=\s*(?:还是|or\b|in\b|,|/|、|\?|？|吗|$))",
    re.IGNORECASE,
)
_EU = re.compile(r"\bEU\s?(3[4-9]|4[0-8])\b", re.IGNORECASE)


def _sizes(text: str, _today: date) -> list[Entity]:
    found = [_found(SIZE, match, match[1]) for match in _EU.finditer(text)]
    for match in _SIZED.finditer(text):
        value = next(group for group in match.groups() if group)
        # A lone s, m or l is a size only in capitals: "it's m" is a slip.
        if match[5] is None or match[5].isupper():
            _keep(found, [_found(SIZE, match, value.upper())])
    return found


_COLOURS = {"black": "黑色 黑", "white": "白色 白", "red": "红色 红", "blue": "蓝色 蓝", "green": "绿色 绿", "yellow": "黄色", "grey": "灰色 灰", "pink": "粉色 粉红", "brown": "棕色 咖啡色",
            "beige": "米色 米白", "silver": "银色", "gold": "金色", "purple": "紫色", "orange": "橙色", "navy": "藏青 深蓝", "cream": "奶油色", "turquoise": "青绿"}  # fmt: skip
_COLOUR_OF = {name: english for english, chinese in _COLOURS.items() for name in (english, *(word for word in chinese.split() if len(word) > 1))} | {
    "gray": "grey",
    "navy blue": "navy",
    "dark blue": "navy",
}
_COLOUR = re.compile(
    r"\b(?:"
    + "|".join(sorted((w for w in _COLOUR_OF if w.isascii()), key=len, reverse=True))
    + r")\b|"
    + "|".join(sorted((w for w in _COLOUR_OF if not w.isascii()), key=len, reverse=True)),
    re.IGNORECASE,
)


def _colours(text: str, _today: date) -> list[Entity]:
    return [_found(COLOUR, match, _COLOUR_OF[_lower(match.group())]) for match in _COLOUR.finditer(text)]


def _products(text: str, products: Mapping[str, str]) -> list[Entity]:
    """Return the longest product names the text holds; Latin names only at word borders."""
    lowered = text.lower()
    found: list[Entity] = []
    for name in sorted((name for name in products if len(name) >= 3 and name in lowered), key=len, reverse=True):
        start = lowered.find(name)
        end = start + len(name)
        bordered = (start == 0 or not lowered[start - 1].isalnum()) and (end == len(lowered) or not lowered[end].isalnum())
        if bordered or not name.isascii():
            _keep(found, [Entity(PRODUCT, text[start:end], products[name], start, end)])
    return found
