"""The demo shop's chats, held through the conversations door as visitors and agents would."""

from datetime import datetime, timedelta

import numpy as np

from crm.core.models import Source, User
from crm.demo.chats import ANSWERED, SCRIPTS, WAITING, Script
from customers.models import Customer, Order
from support import conversations, knowledge, labels, phrases, starters, tickets
from support.models import Conversation
from support.models.conversation import Author

CHATS = 150


def hold(*, source: Source, as_of: datetime, present: datetime, small: bool = False, seed: int = 23) -> int:
    """Hold past chats (each script several times with different people) and leave the waiting ones open; return how many.

    present: the moment just before which the waiting visitors wrote, so that a fresh demo shows a live queue.
    """
    if Conversation.objects.filter(source=source, is_demo=True).exists():
        return 0
    random = np.random.default_rng(seed)
    agent = User.objects.get(username="agent")
    starters.load(is_demo=True)
    by_language = {
        language: list(Customer.objects.filter(source=source, locale=language, orders_count__gt=0).order_by("email").values_list("pk", flat=True))
        for language in SCRIPTS
    }
    held = 0
    for _ in range(CHATS // 10 if small else CHATS):
        language = "zh-hans" if random.random() < 0.55 else "en"
        # Two of five chats never needed a person.
        answered = random.random() < 0.4
        scripts = ANSWERED if answered else SCRIPTS
        script = scripts[language][int(random.integers(len(scripts[language])))]
        customer_id = int(random.choice(by_language[language]))
        # Denser towards today, during support hours.
        began = as_of - timedelta(days=int(170 * (1 - random.random() ** 0.6)) + 1) + timedelta(hours=float(random.uniform(1, 12)))
        if answered:
            _by_assistant(source, customer_id, language, script, began, random)
        else:
            _chat(source, customer_id, language, script, began, agent, random, as_of)
        held += 1
    for language, scripts in WAITING.items():
        for number, script in enumerate(scripts):
            customer_id = int(random.choice(by_language[language]))
            _wait(source, customer_id, language, script, present - timedelta(minutes=4 + 11 * number), random)
            held += 1
    return held


def _chat(source: Source, customer_id: int, language: str, script: Script, began: datetime, agent: User, random: np.random.Generator, as_of: datetime) -> None:
    conversation, first, at = _opened(source, customer_id, language, script, began, random)
    at += timedelta(seconds=float(random.exponential(150)) + 20)
    conversations.take(conversation_id=conversation.pk, agent=agent, now=at)
    answers = list(script.agent)
    followups = list(script.visitor[1:])
    while answers or followups:
        if answers:
            at += timedelta(seconds=float(random.uniform(25, 120)))
            conversations.post(conversation_id=conversation.pk, author=Author.AGENT, text=answers.pop(0), agent=agent, now=at)
        if followups:
            at += timedelta(seconds=float(random.uniform(15, 90)))
            conversations.post(conversation_id=conversation.pk, author=Author.VISITOR, text=followups.pop(0), now=at)
    labels.label(message_id=first, label=script.intent, by=agent, now=at)
    if script.ticket:
        _settle_later(conversation, script.ticket, agent, at, as_of)
    at += timedelta(minutes=2)
    conversations.close(conversation_id=conversation.pk, by=agent, now=at, cause="demo")
    if script.score and random.random() < 0.6:
        score = int(np.clip(script.score + random.integers(-1, 2), 1, 5))
        conversations.rate(conversation_id=conversation.pk, csat=score, now=at + timedelta(minutes=1))


def _settle_later(conversation: Conversation, subject: str, agent: User, at: datetime, as_of: datetime) -> None:
    """Open a ticket for what the chat left to do; most are done within days, some take weeks, and the newest are still open."""
    ticket = tickets.open(subject=subject, customer_id=conversation.customer_id, conversation_id=conversation.pk, assignee=agent, by=agent, now=at)
    done = at + timedelta(hours=3 + 24 * (ticket.pk % 4), weeks=0 if ticket.pk % 3 else 4)
    if done < as_of:
        tickets.change(ticket_id=ticket.pk, state="solved", by=agent, now=done)


def _by_assistant(source: Source, customer_id: int, language: str, script: Script, began: datetime, random: np.random.Generator) -> None:
    """Hold a chat the assistant answered alone, from the shop's own articles, as its replies look.

    The message gets no certainty here: a model judges it later, like any other nobody has judged.
    """
    quoted = knowledge.quote_for(intent=script.intent, language=language)
    if quoted is None:
        return
    conversation, at = _begun(source, customer_id, language, began, random), began
    posted = conversations.post(conversation_id=conversation.pk, author=Author.VISITOR, text=script.visitor[0], now=at, cause="demo")
    at += timedelta(seconds=2)
    conversations.post(conversation_id=conversation.pk, author=Author.BOT, text=quoted.text, kind="answer", data=quoted.source(), now=at, cause="demo")
    knowledge.mark_quoted(text_id=quoted.text_id, at=at)
    for line in script.visitor[1:]:
        at += timedelta(seconds=float(random.uniform(15, 60)))
        conversations.post(conversation_id=conversation.pk, author=Author.VISITOR, text=line, now=at, cause="demo")
        conversations.post(
            conversation_id=conversation.pk, author=Author.BOT, text=phrases.say("thanks", language), now=at + timedelta(seconds=2), cause="demo"
        )
    Conversation.objects.filter(pk=conversation.pk).update(intent=script.intent)
    conversations.mark_read(conversation_id=conversation.pk, seq=posted.message.seq + 1, by_visitor=True, now=at)
    at += timedelta(minutes=30)
    conversations.close(conversation_id=conversation.pk, by=None, now=at, cause="demo")
    if script.score and random.random() < 0.5:
        conversations.rate(conversation_id=conversation.pk, csat=int(np.clip(script.score + random.integers(-1, 2), 1, 5)), now=at + timedelta(minutes=1))


def _wait(source: Source, customer_id: int, language: str, script: Script, began: datetime, random: np.random.Generator) -> None:
    _opened(source, customer_id, language, script, began, random)


def _opened(
    source: Source, customer_id: int, language: str, script: Script, began: datetime, random: np.random.Generator
) -> tuple[Conversation, int, datetime]:
    """Open a verified visitor's chat with its first line and hand it over; return it, the line's id and the time."""
    number = Order.objects.filter(customer_id=customer_id).order_by("-placed_at", "-pk").values_list("external_id", flat=True).first() or ""
    conversation = _begun(source, customer_id, language, began, random)
    text = script.visitor[0].replace("{order}", number)
    posted = conversations.post(conversation_id=conversation.pk, author=Author.VISITOR, text=text, now=began, cause="demo")
    at = began + timedelta(seconds=3)
    conversations.hand_over(conversation_id=conversation.pk, reason="asked", now=at, cause="demo")
    return conversation, posted.message.pk, at


def _begun(source: Source, customer_id: int, language: str, began: datetime, random: np.random.Generator) -> Conversation:
    """Open a verified visitor's chat, nothing said yet."""
    return conversations.open(
        source_id=source.pk,
        visitor_id="".join(f"{part:08x}" for part in random.integers(0, 2**32, 4, dtype=np.uint64)),
        now=began,
        language=language,
        customer_id=customer_id,
        is_verified=True,
        visitor_name=Customer.objects.values_list("name", flat=True).get(pk=customer_id),
        is_demo=True,
    )
