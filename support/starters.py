"""What a demo desk begins with: saved replies in both languages, two macros, and one service level."""

from support.language import CHINESE, ENGLISH
from support.models import BusinessCalendar, CannedReply, Macro, ServicePolicy

# A title is found by what is typed after "/", in whichever language its reader thinks.
_REPLIES = {
    "hello": (
        "Greeting · 问候",
        "Hello {customer}, this is {agent} of {shop}. How can I help?",
        "{customer}您好，我是{shop}的客服{agent}，请问有什么可以帮您？",
    ),
    "order": ("Where the order is · 订单进度", "Your order {order}: {order_status}.", "您的订单 {order}：{order_status}。"),
    "wait": ("Asking for a moment · 请稍等", "Thank you, let me look that up. It takes a few minutes.", "谢谢，我查一下，请稍等几分钟。"),
    "bye": ("Goodbye · 道别", "You are welcome. Have a good day!", "不客气，祝您生活愉快！"),
}
_MACROS: dict[str, list[dict[str, object]]] = {
    "Take over and greet · 接手并问候": [{"do": "assign", "to": "me"}, {"do": "reply", "saved": "hello"}],
    "Say goodbye and close · 道别并关闭": [{"do": "reply", "saved": "bye"}, {"do": "close"}],
}
_WEEK = {str(day): [["09:00", "12:00"], ["13:30", "18:00"]] for day in range(5)}


def load(*, is_demo: bool) -> int:
    """Bring what is not there yet and return how many saved replies and macros were added. Safe to run twice."""
    added = 0
    for shortcut, (title, english, chinese) in _REPLIES.items():
        values = {"title": title, "texts": {ENGLISH: english, CHINESE: chinese}, "is_demo": is_demo}
        added += CannedReply.objects.get_or_create(shortcut=shortcut, defaults=values)[1]
    for name, actions in _MACROS.items():
        added += Macro.objects.get_or_create(name=name, defaults={"actions": actions, "is_demo": is_demo})[1]
    if not ServicePolicy.objects.exists():
        calendar, _ = BusinessCalendar.objects.get_or_create(name="Office hours", defaults={"zone": "Asia/Shanghai", "spans": _WEEK})
        ServicePolicy.objects.create(name="Chat", calendar=calendar, first_response_minutes=30, resolution_minutes=480, is_demo=is_demo)
    return added
