"""Chats of the demo shop: what visitors asked and what the agent answered, with the intent the agent confirmed.

Written by hand. A script is (intent, visitor lines, agent lines, satisfaction); `{order}` becomes the visitor's last
order number. Agents confirm the first line's intent, so these become labelled examples with origin "confirmed".
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """One chat. score: satisfaction 1-5, 0 when the visitor gave none. ticket: subject of the ticket it leaves, or ''."""

    intent: str
    visitor: tuple[str, ...]
    agent: tuple[str, ...]
    score: int = 0
    ticket: str = ""


SCRIPTS: dict[str, tuple[Script, ...]] = {
    "en": (
        Script(
            "order_status",
            ("hiya, {order} was due yesterday and there's no sign of it", "ok thanks for looking"),
            ("I can see it left Rotterdam on Monday; the courier shows it out for delivery today.",),
            4,
        ),
        Script(
            "order_status",
            ("any news on my parcel? number is {order}",),
            ("It is packed and will be collected this afternoon. You will get the tracking link by mail.",),
            5,
        ),
        Script(
            "refund_status",
            ("sent the robe back two weeks ago and my bank shows nothing", "this is taking very long"),
            ("The parcel reached us on Friday; the refund is on its way and takes 3 to 5 working days.",),
            3,
        ),
        Script(
            "damaged_item",
            ("the kettle in {order} has a dent and the lid won't close",),
            ("I am sorry. Could you send a photo here? We will replace it straight away.", "Thank you, the replacement leaves tomorrow."),
            5,
            "Replacement kettle",
        ),
        Script(
            "wrong_or_missing_item",
            ("only three of the four cups were in the box",),
            ("Sorry about that, I am sending the missing cup today.",),
            4,
            "Missing cup",
        ),
        Script(
            "exchange_item",
            ("could I swap the oxford shirt for a medium? L is swimming on me",),
            ("Of course, the first swap is free. I have opened an exchange for you.",),
            5,
        ),
        Script(
            "return_request",
            ("I'd like to return the wool throw, it sheds everywhere",),
            ("You will find the label under Orders, Return. It is free for 30 days.",),
            4,
        ),
        Script("size_help", ("I'm 182 cm and 75 kg, M or L in the linen shirt?",), ("Our linen shirts run large, so M should fit you well.",), 5),
        Script("product_question", ("is the gooseneck kettle ok on an induction hob?",), ("The stovetop version is; the electric one has its own base.",), 5),
        Script(
            "coupon_problem",
            ("WELCOME10 says not valid but it's my first order",),
            ("There is a sale item in your basket; the code does not apply to those.",),
            3,
        ),
        Script(
            "payment_failed",
            ("paypal took the money twice for {order}!!",),
            ("The second one is only reserved and is released within 3 working days. I have checked with payments.",),
            4,
            "Double charge to verify",
        ),
        Script(
            "invoice_request",
            ("need an invoice with our VAT number for {order} please",),
            ("It is in your account under Invoices; I have just added the number.",),
            5,
        ),
        Script("change_address", ("moved house, can {order} go to the new place instead?",), ("It is not packed yet, so yes. I have changed the address.",), 5),
        Script("cancel_order", ("please stop {order}, my partner already bought one",), ("Done, it had not shipped. The money is on its way back.",), 5),
        Script(
            "complaint",
            ("third time I explain the same thing, does anybody read these messages", "I want this escalated"),
            ("I understand, I am sorry. I am taking this myself and will write to you today.",),
            2,
            "Escalated: repeated contact about one parcel",
        ),
        Script(
            "warranty_repair",
            ("desk lamp bought in spring flickers now, covered?",),
            ("Lamps have 24 months. Please send it in with the label I am mailing you.",),
            4,
            "Lamp under warranty",
        ),
        Script("loyalty_points", ("how do I spend my rings? got 340 of them",), ("At checkout, 100 rings are worth 10.",), 5),
        Script("international_shipping", ("do you post to Norway and who pays the customs?",), ("We do. Outside the EU the recipient pays duties.",), 4),
        Script(
            "recommend_product",
            ("present for a friend who just got into tea, around 200?",),
            ("A Keemun gift tin with two celadon tasting cups is a lovely start.",),
            5,
        ),
        Script("stock_availability", ("when is the two-person tunnel tent back?",), ("Restocks usually take two weeks; the Notify me button tells you.",), 4),
    ),
    "zh-hans": (
        Script("order_status", ("{order} 三天没动静了，帮我看看卡在哪儿", "好的谢谢"), ("已经查到，包裹昨晚到了杭州转运中心，预计明天派送。",), 4),
        Script("order_status", ("我那单啥时候能到呀？单号 {order}",), ("您的订单已打包，今天下午由快递取走，运单号会发到您的邮箱。",), 5),
        Script("refund_status", ("东西都退回去十天了，钱怎么还没回来", "支付宝里也没有"), ("仓库周五已签收，退款 3-5 个工作日原路退回，请您再留意一下。",), 3),
        Script(
            "damaged_item", ("收到的盖杯把手断了，气死",), ("非常抱歉，麻烦您拍张照片发来，我马上为您补发。", "照片收到，明天寄出新的一只。"), 5, "补发盖杯"
        ),
        Script("wrong_or_missing_item", ("我买的是哑光黑的壶，给我发成银色了",), ("实在抱歉，是我们发错了，今天就给您换发正确的。",), 4, "发错颜色，换发"),
        Script("exchange_item", ("衬衫大了一号，能换 M 吗",), ("可以的，首次换码免费，已为您登记换货。",), 5),
        Script("return_request", ("毯子掉毛，不想要了，怎么退",), ("在账户的订单页点击退货即可打印面单，30 天内免费退。",), 4),
        Script("size_help", ("165/52kg 穿亚麻衬衫选 S 还是 M",), ("亚麻衬衫偏大，建议您选 S。",), 5),
        Script("product_question", ("这个细口壶电磁炉能用不",), ("明火款可以，电热款自带底座，不需要电磁炉。",), 5),
        Script("coupon_problem", ("新人码一直提示不可用，明明第一次买",), ("您购物车里有特价商品，优惠码不能用在特价商品上。",), 3),
        Script("payment_failed", ("微信扣了两次钱！订单 {order}",), ("第二笔是预授权，3 个工作日内自动释放，我已经帮您核实。",), 4, "重复扣款核实"),
        Script("invoice_request", ("麻烦开张公司抬头的票，订单 {order}",), ("电子发票在账户的发票页，税号已为您补上。",), 5),
        Script("change_address", ("地址填成老家了，能改到公司吗 {order}",), ("还没打包，已经为您改好了。",), 5),
        Script("cancel_order", ("{order} 先别发，家里人重复买了",), ("还未发货，已取消，款项原路退回。",), 5),
        Script(
            "complaint",
            ("同一个问题我问了三遍，你们到底有没有人看", "我要找你们主管"),
            ("非常抱歉让您反复说明，这件事由我跟进，今天一定答复您。",),
            2,
            "升级：同一包裹多次咨询",
        ),
        Script("warranty_repair", ("春天买的台灯老是闪，还在保修吗",), ("灯具保修 24 个月，我把寄修面单发到您邮箱。",), 4, "台灯保修"),
        Script("loyalty_points", ("年轮怎么花？攒了三百多了",), ("下单时可以直接抵扣，100 年轮抵 10 元。",), 5),
        Script("delivery_time", ("现在下单，周五前到成都来得及吗",), ("来得及，大陆地区一般 2-4 天；16:00 前选加急次日达。",), 4),
        Script("recommend_product", ("送长辈的茶，两三百块有啥推荐",), ("祁门红茶礼罐配一套青瓷品茗杯，很受长辈喜欢。",), 5),
        Script("stock_availability", ("隧道帐篷双人的啥时候补货",), ("一般两周左右到货，您可以点到货提醒。",), 4),
    ),
}

# Chats the assistant answered alone; its answers are the shop's articles for the intent, so only visitors' lines stand here.
ANSWERED: dict[str, tuple[Script, ...]] = {
    "en": (
        Script("delivery_time", ("if I order tonight, when would it get to Lyon?", "perfect, thanks"), (), 5),
        Script("delivery_cost", ("what do you charge for shipping, and is there a free limit?", "great thanks!"), (), 5),
        Script("return_policy", ("how many days do I have to send something back?", "ok thank you"), (), 4),
        Script("return_policy", ("is returning free if it just isn't my style?",), (), 4),
        Script("payment_methods", ("can I split the payment in three?", "thanks, good to know"), (), 5),
        Script("loyalty_points", ("do the rings expire at some point?",), (), 4),
        Script("invoice_request", ("where do I download the invoice?", "found it, cheers"), (), 5),
        Script("account_access", ("the reset mail for my password never comes",), (), 3),
        Script("discount_question", ("anything off for students?",), (), 4),
        Script("warranty_repair", ("how long is the guarantee on a kettle?", "thanks"), (), 5),
        Script("international_shipping", ("do you deliver to Canada?",), (), 4),
        Script("unsubscribe", ("how do I stop the newsletter",), (), 4),
    ),
    "zh-hans": (
        Script("delivery_time", ("今晚下单，大概几天能到广州？", "好的谢谢"), (), 5),
        Script("delivery_cost", ("满多少包邮呀", "明白了，谢谢"), (), 5),
        Script("return_policy", ("买回来不喜欢，几天内可以退？", "谢谢"), (), 5),
        Script("return_policy", ("退货的运费谁出",), (), 4),
        Script("payment_methods", ("可以用花呗分期吗", "好的"), (), 5),
        Script("loyalty_points", ("年轮会过期吗",), (), 4),
        Script("invoice_request", ("电子发票在哪里下载", "找到了，谢谢"), (), 5),
        Script("account_access", ("密码忘了，验证码一直收不到",), (), 3),
        Script("discount_question", ("学生有优惠吗",), (), 4),
        Script("warranty_repair", ("水壶保修多久", "谢谢"), (), 5),
        Script("international_shipping", ("能寄到新加坡吗，关税怎么算",), (), 4),
        Script("unsubscribe", ("不想再收到促销短信了，怎么退订",), (), 4),
    ),
}

# Chats still waiting for a person when the demo opens.
WAITING: dict[str, tuple[Script, ...]] = {
    "en": (
        Script("damaged_item", ("The porcelain pot from {order} arrived in pieces :( it was a birthday present",), ()),
        Script("talk_to_person", ("can I speak with somebody please, this is a bit complicated",), ()),
        Script("refund_status", ("still no money back for the boots I returned",), ()),
    ),
    "zh-hans": (
        Script("order_status", ("在吗，{order} 显示签收了但我没收到",), ()),
        Script("complaint", ("体验太差了，客服一直让我等",), ()),
        Script("wrong_or_missing_item", ("茶叶少发了一罐，麻烦看下",), ()),
    ),
}
