"""What the demo shop's reviewers say: sentences by aspect and mood in two languages, put together per review.

A composed corpus is easier than real reviews, so no figure measured on it is quoted as evidence of quality;
docs/algorithms/sentiment.md has the figures on public data.
"""

import numpy as np

from crm.demo.history import DemoReview

# aspect -> mood -> sentences. Moods: good, bad. {thing} is the product's name.
SENTENCES: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "en": {
        "quality": {
            "good": (
                "Lovely {thing}, feels solid and well made.",
                "The finish is beautiful, even nicer than in the photos.",
                "Two months of daily use and it still looks new.",
                "You can tell someone cared about the details.",
                "Honestly the best {thing} I have owned.",
                "Exactly as described, no complaints at all.",
                "Sturdy, simple, does its job every day.",
                "My mother keeps asking where I got it.",
            ),
            "bad": (
                "Came apart after a week, really poor quality.",
                "The {thing} looks nothing like the picture.",
                "There was a crack along the side when I unpacked it.",
                "Feels cheap and the colour rubs off.",
                "Stopped working on the third day.",
                "Rough edges everywhere, I would not give this to anyone.",
                "It smells odd and the smell does not go away.",
                "Thin material, disappointed.",
            ),
        },
        "delivery": {
            "good": (
                "Arrived two days early and well packed.",
                "Fast delivery, the box was tidy.",
                "Parcel came the next morning, impressive.",
                "Packed without plastic, which I appreciate.",
            ),
            "bad": (
                "Took almost three weeks to arrive.",
                "The courier left it in the rain and the box was soaked.",
                "Tracking did not move for ten days.",
                "One item was missing from the parcel.",
            ),
        },
        "price": {
            "good": ("Great value for the money.", "Worth every penny.", "Bought it in the sale and it was a bargain."),
            "bad": ("Far too expensive for what it is.", "A week later it was a third cheaper, annoying.", "Not worth the price."),
        },
        "service": {
            "good": (
                "I had a question and the chat answered within a minute.",
                "Friendly help when I wanted to change my order.",
                "The exchange was free and painless.",
            ),
            "bad": ("Support kept sending me the same answer.", "Still waiting for my refund.", "Nobody replied to my messages."),
        },
        "size": {
            "good": ("Fits perfectly, I followed the size chart.", "True to size and comfortable.", "Just the right size for two people."),
            "bad": ("Runs far too small, had to send it back.", "The size chart is wrong, mine was huge.", "Much smaller than I expected from the photos."),
        },
        "close": {
            "good": ("Will buy again.", "Recommended!", "Very happy.", "Five stars from me.", ""),
            "bad": ("Would not recommend.", "Sending it back.", "Never again.", "Very disappointed.", ""),
        },
        "middle": {
            "good": ("It is okay.", "Does what it should, nothing special.", "Fine for the price I guess.", "Average overall."),
            "bad": ("Had hoped for a little more.", "Could be better.", "Not sure I would choose it again.", "Some good, some bad."),
        },
    },
    "zh-hans": {
        "quality": {
            "good": (
                "{thing}做工很扎实，手感特别好。",
                "比图片还好看，细节处理得很用心。",
                "用了两个月还跟新的一样。",
                "质感一流，朋友来了都问在哪买的。",
                "和描述一致，没什么可挑的。",
                "这是我买过最满意的{thing}。",
                "简单耐用，天天都在用。",
                "老人家也很喜欢，直夸选得好。",
            ),
            "bad": (
                "用了一周就坏了，质量太差。",
                "{thing}跟图片完全不是一回事。",
                "拆开就发现有裂纹，心都凉了。",
                "掉色严重，摸起来很廉价。",
                "第三天就不能用了。",
                "到处是毛刺，根本没法送人。",
                "味道很大，晾了好几天也散不掉。",
                "料子很薄，失望。",
            ),
        },
        "delivery": {
            "good": ("物流很快，第二天就到了。", "包装严实，一点没磕碰。", "比预计早到两天，惊喜。", "没用塑料填充，环保好评。"),
            "bad": ("快递等了快三周，太慢了。", "箱子被雨淋透了，快递扔门口就走。", "物流信息十天没更新。", "少发了一件，还得自己去找客服。"),
        },
        "price": {
            "good": ("性价比很高。", "这个价格值了。", "活动时入手的，真划算。"),
            "bad": ("价格虚高，不值。", "刚买一周就降价三分之一，心塞。", "这个价钱能买到更好的。"),
        },
        "service": {
            "good": ("客服回复特别快，态度也好。", "改订单一分钟就搞定了，点赞。", "换货免费，很省心。"),
            "bad": ("客服翻来覆去就那一句话。", "退款到现在还没到账。", "发了几条消息都没人理。"),
        },
        "size": {
            "good": ("尺码很准，穿着舒服。", "按尺码表买的，刚刚好。", "大小正合适，两个人用足够。"),
            "bad": ("偏小太多，只能退了。", "尺码表不准，大得离谱。", "比想象的小一圈。"),
        },
        "close": {
            "good": ("会回购的。", "推荐购买！", "非常满意。", "五星好评。", ""),
            "bad": ("不推荐。", "已经申请退货。", "不会再买了。", "太失望了。", ""),
        },
        "middle": {
            "good": ("还行吧。", "中规中矩，能用。", "对得起这个价格。", "总体一般。"),
            "bad": ("没有想象中好。", "还有改进的空间。", "下次可能会换一家看看。", "有好有坏吧。"),
        },
    },
}

# What some add about their next order: language -> will they order soon -> are they content now.
PLANS: dict[str, dict[bool, dict[bool, tuple[str, ...]]]] = {
    "en": {
        True: {
            True: ("I will order here again soon.", "Already planning my next order.", "I keep coming back to this shop."),
            False: ("Still, I will give the shop another chance.", "I will order here again, but something else."),
        },
        False: {
            True: ("I have all I need for a long while.", "I am moving to a shop closer to home, though."),
            False: ("This was my last order from this shop.", "I am done ordering here."),
        },
    },
    "zh-hans": {
        True: {
            True: ("过阵子还会来下单。", "下一单已经想好买什么了。", "一直在这家店买。"),
            False: ("不过还会再给这家店一次机会。", "下次还来，换一样东西买。"),
        },
        False: {
            True: ("该买的都买齐了，短期内不用再买。", "以后打算在家附近的店买。"),
            False: ("这是在这家店的最后一单。", "不会再来下单。"),
        },
    },
}
# Of 100 reviewers so many speak of their next order, and of those so many as they will act: the rest says one thing and does the other.
SPEAK_OF_PLANS, MEAN_IT = 0.35, 0.75


def write(review: DemoReview, *, seed: int = 17) -> str:
    """Return the review's text in the reviewer's language, fitting its stars; the same for the same review."""
    order_number = int(review.external_id.rsplit("MM", 1)[1])
    random = np.random.default_rng([seed, order_number])
    language = review.order.person.language
    book = SENTENCES[language]
    thing = review.product.names[language]
    aspects = ["quality", "delivery", "price", "service"] + (["size", "size"] if review.product.shelf_slug.startswith(("clothing/", "outdoor/")) else [])

    def say(aspect: str, mood: str) -> str:
        options = book[aspect][mood]
        text = options[int(random.integers(len(options)))]
        return text.replace("{thing}", thing if language == "zh-hans" else thing[0].lower() + thing[1:])

    first = "delivery" if review.order.bad and random.random() < 0.4 else str(random.choice(aspects))
    second = str(random.choice([aspect for aspect in aspects if aspect != first]))
    if review.rating >= 4:
        # Four stars often come with one complaint.
        parts = [say(first, "good"), say(second, "bad" if review.rating == 4 and random.random() < 0.2 else "good"), say("close", "good")]
    elif review.rating <= 2:
        parts = [say(first, "bad"), say(second, "good" if review.rating == 2 and random.random() < 0.2 else "bad"), say("close", "bad")]
    else:
        parts = [say("middle", "good"), say(first, str(random.choice(["good", "bad"]))), say("middle", "bad")]
    parts = parts[: 1 + int(random.integers(3))]
    if random.random() < SPEAK_OF_PLANS:
        plans = PLANS[language][review.again if random.random() < MEAN_IT else not review.again][review.rating >= 4]
        parts.append(plans[int(random.integers(len(plans)))])
    joiner = "" if language == "zh-hans" else " "
    return joiner.join(part for part in parts if part)
