"""Whether a visitor asks who is talking to them, and nothing else: an assistant says that it is one, without any model.

By rule, not by the classifier: the answer is owed (EU AI Act, Regulation 2024/1689, Art. 50(1)) and must not hang on a
probability. Whoever asks for a person in the same breath is not meant here; that is the intent talk_to_person.
"""

import re

_WHO = r"(?:chat ?|ro)?bot|machine|computer|a\.?i\.?|human(?: being)?|person|automated"
_A_WHO = rf"(?:an? )?(?:real |actual |live )?(?:{_WHO})"
_ENGLISH = re.compile(
    rf"(?:(?:hi|hey|hello|wait|so|ok(?:ay)?|sorry)[ ,]+)*"
    # "Is this real?" may be about leather, "are you real?" is not.
    rf"(?:(?:are|r) (?:you|u) (?:just |actually |really |even )?(?:{_A_WHO}|real)|(?:(?:am i|are we) (?:talking|speaking|chatting) (?:to|with)|is (?:this|that|it)) (?:just |actually |really )?{_A_WHO}"
    rf"|who am i (?:talking|speaking|chatting) (?:to|with))(?: or {_A_WHO})?(?: here| (?:right )?now)?"
)
_CHINESE = re.compile(
    r"(?:你好|您好|请问|那|等等|喂)?(?:你|您|这|这边|对面|现在)?(?:到底|究竟|其实)?(?:是不是|是否是|是否|是|算)(?:一个|个)?"
    r"(?:真的?)?(?:机器人|真人|人工智能|人工客服|人工|活人|人类|ai|bot|智能客服|自动回复|电脑|程序)"
    r"(?:在?(?:回复|回答|聊天|说话))?(?:还是(?:一个|个)?(?:机器人|真人|人工智能|人工|活人|人类|ai|bot|智能客服|人))?"
)
_TAIL = re.compile(r"[\s?？!！.。~～…,，]+$")
# Question particles of Chinese; without one or a question mark, "是真人" may be an answer.
_PARTICLE = re.compile(r"(?:吗|嘛|么|呢|吧|啊|呀)+$")
LONGEST = 80


def asks_who(text: str) -> bool:
    """Return whether the whole text asks if a person or a program is talking."""
    if len(text) > LONGEST:
        return False
    bare = _TAIL.sub("", " ".join(text.casefold().split()))
    if _PARTICLE.search(bare) or "是不是" in bare or "还是" in bare or "是否" in bare or text.rstrip().endswith(("?", "？")):
        found = _CHINESE.fullmatch(_PARTICLE.sub("", bare).replace(" ", ""))
        if found:
            return True
    return _ENGLISH.fullmatch(bare) is not None
