"""How a message is meant: its mood and how urgent it is, by counted words of both languages.

Small closed lists and stated rules, so that an agent who wonders why a chat is marked urgent can be told. The chat has
no labelled moods to learn from; the model of the shop's reviews is taught on another kind of text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from support.entities import DATE, Entity

LOW, NORMAL, HIGH = "low", "normal", "high"
NEGATIVE, NEUTRAL, POSITIVE = "negative", "neutral", "positive"
# Days ahead within which a date that is named makes a message urgent.
SOON_DAYS = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BAD = _words("""
awful terrible horrible unacceptable disappointed disappointing ridiculous useless rubbish worst angry furious annoyed frustrated frustrating upset sad
broken damaged cracked smashed shattered faulty defective wrong missing lost late delayed scam fraud lied lies ignored ignoring rude disgusting joke pathetic
never nobody complaint complain fed sick hate poor bad unhappy
""")
_GOOD = _words("thanks thank thx great love lovely perfect awesome amazing excellent happy helpful brilliant appreciate cheers fantastic good nice wonderful")
_BAD_CHINESE = _words("""
太差 垃圾 气死 生气 失望 愤怒 无语 骗子 骗人 欺骗 糟糕 恶心 投诉 差评 坏了 破损 碎了 裂了 断了 漏了 少了 少发 发错 没收到 没人理 不理 敷衍 忽悠 离谱 难用 后悔 受够 烦死 恼火 过分 态度差 搞什么 什么玩意
""")
_GOOD_CHINESE = _words("谢谢 感谢 多谢 太好了 很好 不错 喜欢 满意 完美 棒 辛苦了 爱了 赞 开心")
_NOT = re.compile(r"\b(?:not|no|isn't|wasn't|don't|doesn't|didn't|never|hardly|n't)\s+(?:\w+\s+){0,2}$")
_NOT_CHINESE = ("不", "没", "别")
_WORD = re.compile(r"[a-z']+")

_URGENT = re.compile(
    r"\b(?:urgent|urgently|asap|immediately|right now|right away|straight away|emergency|hurry|as soon as possible|today|tonight|deadline|escalate|lawyer|police|bank dispute|chargeback)\b"
    r"|紧急|加急|马上|立刻|立即|尽快|赶紧|快点|急用|急急|着急|十万火急|今天就|今天要|今晚|报警|工商|12315|律师|马上要用",
    re.IGNORECASE,
)
_AGAIN = re.compile(
    r"\b(?:second|third|fourth|fifth|\d+(?:nd|rd|th)) time\b|\bstill (?:no|not|haven't|waiting|nothing)\b|\bagain and again\b|\balready (?:wrote|asked|called|contacted)\b|\bno (?:one|body) (?:answers|replies|responds)\b"
    r"|第[二三四五六]次|[两三四五六]遍|好几次|多次|一直没|还没有?(?:收到|解决|处理|回复)|没人回|没人理|反复",
    re.IGNORECASE,
)
_MONEY_GONE = re.compile(
    r"\b(?:charged|took|taken|paid|debited|billed)\b[^.?!]{0,30}?\b(?:twice|two times|double)\b|\bdouble charged?\b|\bcharged double\b|\bstolen\b|\bhacked\b|\bunauthori[sz]ed\b|扣了?(?:我)?(?:两|2|二|多)次|重复扣|被盗|盗刷",
    re.IGNORECASE,
)
_SHOUTED = re.compile(r"[!！]{2,}|\?{3,}|？{3,}")


@dataclass(frozen=True, slots=True)
class Mood:
    """mood: negative, neutral or positive. urgency: low, normal or high. why: codes of the urgency's reasons."""

    mood: str
    urgency: str
    why: tuple[str, ...] = ()


def of(text: str, *, today: date, entities: Iterable[Entity] = ()) -> Mood:
    """Return how the message is meant; a thank-you is low, and reasons add up to high."""
    reasons: dict[str, int] = {}
    if _URGENT.search(text):
        reasons["asked"] = 2
    if _MONEY_GONE.search(text):
        reasons["money"] = 2
    if _AGAIN.search(text):
        reasons["again"] = 1
    if any(entity.kind == DATE and 0 <= (date.fromisoformat(entity.value) - today).days <= SOON_DAYS for entity in entities):
        reasons["soon"] = 1
    letters = [character for character in text if character.isascii() and character.isalpha()]
    if _SHOUTED.search(text) or (len(letters) >= 12 and sum(map(str.isupper, letters)) > 0.8 * len(letters)):
        reasons["loud"] = 1
    mood = _mood(text)
    if mood == NEGATIVE:
        reasons["upset"] = 1
    weight = sum(reasons.values())
    urgency = HIGH if weight >= 2 else LOW if mood == POSITIVE and not reasons else NORMAL
    return Mood(mood, urgency, tuple(reasons) if urgency == HIGH else ())


def _mood(text: str) -> str:
    lowered = text.lower().replace("’", "'")
    balance = 0
    for match in _WORD.finditer(lowered):
        sign = (match.group() in _GOOD) - (match.group() in _BAD)
        if sign:
            balance += -sign if _NOT.search(lowered[: match.start()]) and match.group() != "never" else sign
    for words, sign in ((_GOOD_CHINESE, 1), (_BAD_CHINESE, -1)):
        for word in words:
            at = lowered.find(word)
            if at >= 0:
                balance += -sign if sign > 0 and lowered[max(0, at - 1) : at] in _NOT_CHINESE else sign
    return POSITIVE if balance > 0 else NEGATIVE if balance < 0 else NEUTRAL
