import pytest

from support.disclosure import asks_who

ASKING = """
Are you a robot?
are you a bot
r u a bot??
Are you real?
hey, are you human
are you a human or a bot?
wait, are you a real person?
Am I talking to a human?
Am I chatting with an AI?
who am i talking to?
is this a real person?
Is this a bot
is this automated?
are you an actual person
你是机器人吗？
你是真人吗
您是真人还是AI？
请问你是人工还是机器人
你是不是机器人
对面是真人吗
你到底是不是真人啊
这是人工客服吗？
是机器人吗
"""
OTHER = """
are you a robot? I want a human being
real person pls
can i talk to a person
are you open today
are you there
who are you
is this real leather?
is this real?
is this a machine washable rug?
is this watch automatic?
you are a bot and useless
你是机器人吧，换人
真人客服
转真人
不要机器人
真人在吗
机器人答非所问，浪费我时间
登陆页面一直让我验证我是不是机器人
这是真皮吗
是真人
"""


@pytest.mark.parametrize("text", ASKING.strip().splitlines())
def test_who_asks_what_is_talking_is_understood(text: str) -> None:
    assert asks_who(text)


@pytest.mark.parametrize("text", [*OTHER.strip().splitlines(), "", "?", "are you a robot? " * 20])
def test_anything_else_is_the_models_business(text: str) -> None:
    assert not asks_who(text)
