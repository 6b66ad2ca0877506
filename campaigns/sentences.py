"""Sentences the composer puts together when no language model is connected. Written by hand, one set per theme and language.

{products} is filled with one to three quoted product names and their prices. {offer} is a sentence about a discount the
goal states, or nothing. Nothing here promises, counts or dates anything by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """subjects and openings are alternatives; successive drafts take the next one."""

    subjects: Sequence[str]
    openings: Sequence[str]
    closings: Sequence[str]


# The words of a goal that tell its theme, in both languages; the first theme with a hit wins.
SIGNS: Mapping[str, Sequence[str]] = {
    "win_back": (
        "win back",
        "win-back",
        "winback",
        "lapsed",
        "silent",
        "miss",
        "come back",
        "inactive",
        "at risk",
        "churn",
        "召回",
        "挽回",
        "流失",
        "好久",
        "沉睡",
        "唤回",
        "回来",
    ),
    "welcome": ("welcome", "new customer", "first order", "second order", "just joined", "欢迎", "新客", "首单", "第二单", "新会员"),
    "thanks": ("thank", "loyal", "vip", "best customer", "champion", "appreciat", "感谢", "答谢", "忠实", "老客", "会员日"),
    "arrivals": ("new arrival", "launch", "new collection", "just in", "new season", "上新", "新品", "新款", "首发"),
    "offer": ("sale", "discount", "% off", "offer", "coupon", "code", "优惠", "折", "促销", "特惠", "券"),
}

THEMES: Mapping[str, Mapping[str, Theme]] = {
    "en": {
        "win_back": Theme(
            ("{{ first_name|Hello }}, it has been a while", "A few things you may have missed at {{ shop_name }}", "We kept a place for you"),
            (
                "It has been some time since your last order, and we wondered how you are getting on with what you chose.",
                "We have not seen you for a while. No hurry: here is what has been going on in the shop.",
                "Seasons change, and so do shelves. Since your last visit ours have filled up again.",
            ),
            ("If something did not suit you last time, reply to this mail: a person reads it.", "Have a look whenever it suits you."),
        ),
        "welcome": Theme(
            ("Welcome to {{ shop_name }}, {{ first_name|friend }}", "A good place to start", "Your next favourite, perhaps"),
            (
                "Thank you for choosing us. We are a small team and notice every new name.",
                "Welcome. To make the choice easier, here is where many customers begin.",
            ),
            ("Questions before you choose? Reply to this mail and a person answers.", "We are glad you are here."),
        ),
        "thanks": Theme(
            ("Thank you, {{ first_name|dear customer }}", "For those who keep coming back", "A note of thanks from {{ shop_name }}"),
            (
                "You have been with us for a good while, and that is the best thing a shop can hear. Thank you.",
                "Customers like you are the reason we get up in the morning. This mail is mostly to say thank you.",
            ),
            ("Thank you for being here.", "Tell us what you would like to see next: reply, and a person reads it."),
        ),
        "arrivals": Theme(
            ("New at {{ shop_name }}", "{{ first_name|Hello }}, have a first look", "Just unpacked"),
            (
                "The boxes are open and the shelves are full again.",
                "We have been choosing for weeks; here is what made it.",
            ),
            ("Have a look and tell us what you think.", "We look forward to hearing which one you like."),
        ),
        "offer": Theme(
            ("Something for you, {{ first_name|friend }}", "A good moment to look in at {{ shop_name }}", "For your list"),
            ("If there is something you have been thinking about, this may be the moment.", "A short mail with something useful in it."),
            ("Have a look whenever it suits you.", "As always, reply if you have a question."),
        ),
        "general": Theme(
            ("News from {{ shop_name }}", "{{ first_name|Hello }}, a few things we like just now", "Chosen with care"),
            ("Here is a short note from the shop.", "We went through the shelves and picked a few things worth knowing."),
            ("Have a look whenever it suits you.", "Reply if you have a question: a person reads it."),
        ),
    },
    "zh-hans": {
        "win_back": Theme(
            ("{{ first_name|您好 }}，好久不见", "这段时间，{{ shop_name }} 添了些新东西", "我们一直给您留着位置"),
            (
                "距离您上次下单已经有一阵子了，不知道之前选的东西用得还顺手吗？",
                "有段时间没见到您了。不着急，先跟您说说店里最近的变化。",
                "换季了，货架也换了样子。您上次来过之后，又添了不少好物。",
            ),
            ("如果上次有哪里不合心意，直接回复这封邮件，会有专人来看。", "有空的时候，欢迎来逛逛。"),
        ),
        "welcome": Theme(
            ("{{ first_name|您好 }}，欢迎来到 {{ shop_name }}", "不妨从这里开始", "也许这会是您的下一件心头好"),
            ("感谢您选择我们。我们团队不大，每一位新朋友都会放在心上。", "欢迎您。怕您挑花眼，这里先列几样大家常从它们开始的好物。"),
            ("下单前有疑问？回复这封邮件，会有专人解答。", "很高兴认识您。"),
        ),
        "thanks": Theme(
            ("{{ first_name|您好 }}，谢谢您", "写给一直支持我们的您", "来自 {{ shop_name }} 的感谢"),
            (
                "您陪伴我们已经有一段时间了，这是一家店能得到的最好的肯定。谢谢您。",
                "正因为有您这样的老朋友，我们才有动力把每件小事做好。这封信，主要是想道一声谢。",
            ),
            ("感谢您一路相伴。", "接下来想看到什么？回复告诉我们，会有专人来读。"),
        ),
        "arrivals": Theme(
            ("{{ shop_name }} 上新了", "{{ first_name|您好 }}，先睹为快", "刚刚开箱"),
            ("箱子拆开了，货架又满了。", "我们挑了好几周，这些是最后留下来的。"),
            ("欢迎来看看，也告诉我们您的想法。", "期待知道您最喜欢哪一件。"),
        ),
        "offer": Theme(
            ("{{ first_name|您好 }}，有样东西想给您看看", "来 {{ shop_name }} 看看的好时候", "给您的清单添一样"),
            ("如果您心里一直惦记着什么，现在也许正是时候。", "一封短信，说点有用的。"),
            ("有空的时候，欢迎来逛逛。", "有任何疑问，直接回复就好。"),
        ),
        "general": Theme(
            ("来自 {{ shop_name }} 的消息", "{{ first_name|您好 }}，最近我们喜欢这些", "用心挑选"),
            ("店里写来一封短信。", "我们把货架仔细看了一遍，挑出几样值得您知道的。"),
            ("有空的时候，欢迎来逛逛。", "有疑问就回复这封邮件，会有专人来读。"),
        ),
    },
}

GREETING: Mapping[str, str] = {"en": "Hello {{ first_name|there }},", "zh-hans": "{{ first_name|亲爱的顾客 }}，您好："}
# {products}: the list in words.
PRODUCTS: Mapping[str, Sequence[str]] = {
    "en": ("Worth a look just now: {products}.", "From our shelves: {products}.", "A good place to start: {products}."),
    "zh-hans": ("最近值得一看的有：{products}。", "货架上为您挑了：{products}。", "可以先从这些看起：{products}。"),
}
NAMED: Mapping[str, str] = {"en": "“{name}”", "zh-hans": "“{name}”"}
PRICED: Mapping[str, str] = {"en": " ({price})", "zh-hans": "（{price}）"}
JOINED: Mapping[str, tuple[str, str]] = {"en": (", ", " and "), "zh-hans": ("、", "和")}
OFFER: Mapping[str, str] = {"en": "You get {percent}% off.", "zh-hans": "您可享受 {percent}% 的优惠。"}
OFFER_WITH_CODE: Mapping[str, str] = {"en": "With the code {code} you get {percent}% off.", "zh-hans": "使用优惠码 {code}，可享受 {percent}% 的优惠。"}
PICKS: Mapping[str, str] = {"en": "And these we picked for you:", "zh-hans": "另外，这几样是特意为您挑的："}
SIGNATURE: Mapping[str, str] = {"en": "Your team at {{ shop_name }}", "zh-hans": "{{ shop_name }} 团队敬上"}


def theme_of(goal: str, segment: str) -> str:
    """Return the theme a goal (or, where it says nothing, the audience's name) tells; 'general' when neither does."""
    for text in (goal.casefold(), segment.casefold()):
        for theme, signs in SIGNS.items():
            if any(sign in text for sign in signs):
                return theme
    return "general"
