"""What the assistant says in its own words, per language. Facts about the shop never stand here: those are articles."""

from support.language import CHINESE, ENGLISH

_PHRASES: dict[str, dict[str, str]] = {
    "greeting": {
        ENGLISH: "Hello! I am the shop's assistant. Tell me what you need, or ask for a person at any time.",
        CHINESE: "您好！我是本店的智能助手。请告诉我您需要什么，也可以随时转人工客服。",
    },
    "who": {
        ENGLISH: "I am the shop's automatic assistant, not a person. If you would like a person, just say so.",
        CHINESE: "我是本店的智能助手，不是真人。如需人工客服，直接告诉我即可。",
    },
    "thanks": {
        ENGLISH: "You are welcome. Write here whenever you need something else.",
        CHINESE: "不客气。如有其他问题，随时在这里留言。",
    },
    "clarify": {
        ENGLISH: "I want to be sure I understand. Is it about one of these?",
        CHINESE: "为了确认我理解正确，您想问的是下面哪一项？",
    },
    "handover": {
        ENGLISH: "I am passing you on to a colleague, who will read what you wrote here. {queue}",
        CHINESE: "我正在为您转接人工客服，同事会看到您在这里写的内容。{queue}",
    },
    "handover_unsure": {
        ENGLISH: "I am not able to answer that reliably, so I am passing you on to a colleague. {queue}",
        CHINESE: "这个问题我无法给出可靠的回答，正在为您转接人工客服。{queue}",
    },
    "handover_complaint": {
        ENGLISH: "I am sorry this went wrong. A colleague will look at it personally. {queue}",
        CHINESE: "非常抱歉给您带来了不好的体验，同事会亲自为您处理。{queue}",
    },
    "handover_details": {
        ENGLISH: "Thank you. I am passing this on to a colleague, who can look at your order. {queue}",
        CHINESE: "谢谢，我把这些信息转给同事，由同事为您查看订单。{queue}",
    },
    "handover_file": {
        ENGLISH: "Thank you for the file. I am passing you on to a colleague, who will look at it. {queue}",
        CHINESE: "文件已收到，正在为您转接人工客服查看。{queue}",
    },
    "ask_more": {
        ENGLISH: "Could you tell me a little more, for example the order number or the product it is about?",
        CHINESE: "方便再说得具体一点吗？例如订单号，或者是哪一件商品。",
    },
    "queue_first": {ENGLISH: "You are next.", CHINESE: "您排在第一位。"},
    "queue_place": {ENGLISH: "You are number {place} in the queue.", CHINESE: "您目前排在第 {place} 位。"},
    "wait": {ENGLISH: "It usually takes about {minutes} min.", CHINESE: "预计等待约 {minutes} 分钟。"},
    "offline": {
        ENGLISH: "Nobody is at the desk right now; we are back on {when}. Your request is kept and will be answered here.",
        CHINESE: "目前不在服务时间，我们将于 {when} 恢复服务。您的问题已记录，届时会在这里回复您。",
    },
    "hours_open": {ENGLISH: "People are here until {when}.", CHINESE: "人工客服在线至 {when}。"},
    "hours_closed": {ENGLISH: "People are back on {when}; the assistant is here.", CHINESE: "人工客服 {when} 上线，智能助手随时在线。"},
    "offline_mail": {
        ENGLISH: "Leave your e-mail address below and we answer there too.",
        CHINESE: "您也可以在下方留下邮箱，我们会同时通过邮件回复您。",
    },
    "ticket": {ENGLISH: "A visitor asked for a person", CHINESE: "访客请求人工客服"},
    "mail_subject": {ENGLISH: "Your conversation with {shop}", CHINESE: "您与{shop}的会话"},
    "mail_above": {ENGLISH: "–– Please write your answer above this line ––", CHINESE: "–– 请在此线以上回复 ––"},
    "mail_sender": {ENGLISH: "{name}, {shop}", CHINESE: "{shop} {name}"},
    "mail_foot": {
        ENGLISH: "You get this mail because you left the chat before our answer. Simply answer it: what you write goes to the same conversation.",
        CHINESE: "您离开会话时尚未收到以上回复，因此我们发送此邮件。直接回复即可，内容会回到同一会话。",
    },
    "mail_you": {ENGLISH: "You", CHINESE: "您"},
    "mail_we": {ENGLISH: "We", CHINESE: "我们"},
    "mail_assistant": {ENGLISH: "Assistant", CHINESE: "智能助手"},
    "order_found": {
        ENGLISH: "Your order {number} of {date}: {status}.",
        CHINESE: "您在 {date} 下的订单 {number}：{status}。",
    },
    "order_not_yours": {
        ENGLISH: "I cannot find that order number on your account. Your latest order is {number} of {date}: {status}.",
        CHINESE: "在您的账户中没有找到这个订单号。您最近的订单是 {date} 的 {number}：{status}。",
    },
    "order_none": {ENGLISH: "I cannot find an order on your account yet.", CHINESE: "您的账户中还没有订单。"},
    "order_verify": {
        ENGLISH: "To look up your own order I need to know it is you: please log in to the shop and open this chat there.",
        CHINESE: "查询您本人的订单需要先确认身份：请先登录商城，再从商城页面打开本窗口。",
    },
    "status_paid": {ENGLISH: "paid, being prepared", CHINESE: "已付款，正在备货"},
    "status_shipped": {ENGLISH: "shipped, on its way", CHINESE: "已发货，正在运输途中"},
    "status_delivered": {ENGLISH: "delivered", CHINESE: "已送达"},
    "status_cancelled": {ENGLISH: "cancelled", CHINESE: "已取消"},
    "joined": {ENGLISH: "{name} is here now.", CHINESE: "客服 {name} 已接入。"},
    "closed": {ENGLISH: "This conversation was closed.", CHINESE: "本次会话已结束。"},
    "reopened": {ENGLISH: "This conversation was opened again.", CHINESE: "会话已重新打开。"},
}


def say(key: str, language: str, **values: object) -> str:
    """Return the phrase in the language (English where there is none), with its blanks filled."""
    texts = _PHRASES[key]
    return texts.get(language, texts[ENGLISH]).format(**values)


def joined(language: str, *sentences: str) -> str:
    """Return sentences one after another; Chinese has no blank between them."""
    return ("" if language == CHINESE else " ").join(sentences)


def queue(language: str, place: int) -> str:
    """Return the visitor's place in the queue in words; 1 is next."""
    return say("queue_first", language) if place <= 1 else say("queue_place", language, place=place)
