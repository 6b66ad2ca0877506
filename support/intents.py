"""The shipped intents: what each is called to visitors (as a choice) and to agents (as a chip), in both languages.

A shop's own labels, which are not listed here, are shown by their name with blanks for underscores.
"""

from support.language import CHINESE, ENGLISH
from support.models.labels import OUT_OF_SCOPE

# Intents that are not answered from an article; replies.py says what happens instead.
GREETING = "greeting"
THANKS = "thanks"
TALK_TO_PERSON = "talk_to_person"
COMPLAINT = "complaint"
ORDER_STATUS = "order_status"
# What people do with an order once they know its number: the answer tells the rules, a colleague does the rest.
HANDLED_BY_PEOPLE = frozenset({
    "change_address", "change_order", "cancel_order", "exchange_item", "refund_status", "damaged_item", "wrong_or_missing_item", "warranty_repair",
})  # fmt: skip
# Never offered as a choice when the assistant asks what was meant.
NOT_A_CHOICE = frozenset({GREETING, THANKS, TALK_TO_PERSON, COMPLAINT, OUT_OF_SCOPE})

_NAMES: dict[str, tuple[str, str]] = {
    "order_status": ("Where is my order", "查询订单进度"),
    "delivery_time": ("How long delivery takes", "多久能送到"),
    "delivery_cost": ("What delivery costs", "运费是多少"),
    "international_shipping": ("Delivery to another country", "寄到其他国家或地区"),
    "change_address": ("Change the delivery address", "修改收货地址"),
    "change_order": ("Change items of an order", "修改订单商品"),
    "cancel_order": ("Cancel an order", "取消订单"),
    "return_policy": ("The rules for returns", "退货规则"),
    "return_request": ("Send something back", "申请退货"),
    "exchange_item": ("Exchange size or colour", "更换尺码或颜色"),
    "refund_status": ("Where is my refund", "退款进度"),
    "damaged_item": ("It arrived damaged", "收到的商品破损"),
    "wrong_or_missing_item": ("Wrong or missing item", "发错或少发商品"),
    "product_question": ("A question about a product", "商品咨询"),
    "size_help": ("Which size to choose", "如何选择尺码"),
    "stock_availability": ("Is it in stock", "是否有货"),
    "recommend_product": ("Advice on what to buy", "推荐商品"),
    "discount_question": ("Discounts and offers", "优惠活动"),
    "coupon_problem": ("A coupon does not work", "优惠券无法使用"),
    "payment_methods": ("Ways to pay", "支付方式"),
    "payment_failed": ("The payment failed", "付款失败"),
    "invoice_request": ("Get an invoice", "开具发票"),
    "warranty_repair": ("Guarantee and repair", "保修与维修"),
    "account_access": ("I cannot log in", "无法登录账户"),
    "account_data": ("My profile and data", "个人资料与数据"),
    "loyalty_points": ("Points and membership", "积分与会员"),
    "unsubscribe": ("Stop marketing messages", "停止营销信息"),
    "complaint": ("Complaint", "投诉"),
    "talk_to_person": ("Talk to a person", "转人工客服"),
    "greeting": ("Greeting", "问候"),
    "thanks": ("Thanks or goodbye", "感谢或道别"),
    OUT_OF_SCOPE: ("None of these", "都不是"),
}
_PLACE = {ENGLISH: 0, CHINESE: 1}

SHIPPED = tuple(label for label in _NAMES if label != OUT_OF_SCOPE)


def name(label: str, language: str) -> str:
    """Return what the intent is called in the language; a label the product does not know is shown as written."""
    if label not in _NAMES:
        return label.replace("_", " ")
    return _NAMES[label][_PLACE.get(language, 0)]


def choices(language: str, labels: "set[str] | frozenset[str]" = frozenset()) -> list[tuple[str, str]]:
    """Return (label, name) of the shipped intents and of any others given, for a select box; none-of-these last."""
    every = [*SHIPPED, *sorted(set(labels) - set(_NAMES)), OUT_OF_SCOPE]
    return [(label, name(label, language)) for label in every]
