"""One conversation as staff sees it: its messages in order, and how it may be answered."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from crm.core.access.roles import may
from crm.core.models import User
from support import answering, attachments, conversations, drafts, intents, labels, teams
from support.language import html_lang
from support.mail import addresses
from support.models import Conversation, ConversationMail, Draft, IntentExample, Message
from support.models.conversation import Author, ConversationState
from support.models.labels import OUT_OF_SCOPE
from support.models.mail import MailState

# Messages a page opens with; as many older ones come with each click, up to a page no browser enjoys.
THREAD_TAIL, LONGEST_THREAD = 200, 5000
# In the reader's words, for staff.
LANGUAGE_NAMES: dict[str, str | Promise] = {"en": _("English"), "zh-hans": _("Simplified Chinese")}


@dataclass(frozen=True, slots=True)
class Line:
    """One message as staff sees it. author: as in the styles, with 'note' for private notes."""

    pk: int
    seq: int
    client_id: str
    author: str
    name: str | Promise
    text: str
    html_lang: str
    kind: str
    at: datetime
    choices: list[str]
    source_title: str
    source_url: str
    source_version: str
    intent: str
    intent_name: str
    confidence: float | None
    in_scope: bool | None
    label: str
    label_name: str
    can_label: bool
    is_discarded: bool
    is_read: bool
    is_delivered: bool
    file_url: str = ""
    is_picture: bool = False
    mail: "ByMail | None" = None
    # Set on the last of the lines that one mail carried.
    mailed: str | Promise = ""


@dataclass(frozen=True, slots=True)
class ByMail:
    """What the console says of a message that came by mail. sender: as the mail claims. is_known: the address we wrote to."""

    sender: str
    is_known: bool
    whole: str
    refused: str


@dataclass(frozen=True, slots=True)
class Thread:
    """earlier: how many lines the page would show with the older ones, 0 where it shows them all."""

    conversation: Conversation
    name: str
    lines: list[Line]
    upto: int
    first_new: int
    earlier: int
    labels: list[tuple[str, str]]
    draft: Draft | None
    is_mine: bool
    is_open: bool
    can_reply: bool
    visitor_language: str | Promise
    stands: str


def name_of(found: Conversation) -> str:
    """Return what the visitor is called; a customer only where the shop has confirmed it. Needs `customer` loaded."""
    if found.customer is not None and found.is_verified:
        return str(found.customer)
    return found.visitor_name or (str(found.customer) if found.customer else gettext("Visitor {id}").format(id=found.pk))


def stands(found: Conversation) -> str:
    """Return one word for what the page offers to do about it; the page that shows another is out of date."""
    until = found.snoozed_until.isoformat() if found.snoozed_until else ""
    return f"{found.state}.{found.agent_id or 0}.{found.team_id or 0}.{found.priority}.{until}"


def thread_of(*, conversation_id: int, viewer: User, now: datetime, lines: int = THREAD_TAIL) -> Thread:
    """Return a conversation with its newest `lines` messages and the viewer's draft. At most 7 queries. Raises ConversationMissing."""
    found = teams.conversations_for(viewer).select_related("customer", "agent", "source", "team").filter(pk=conversation_id).first()
    if found is None:
        raise conversations.ConversationMissing
    shown = min(max(lines, THREAD_TAIL), LONGEST_THREAD)
    start = max(0, found.last_seq - shown)
    rows = conversations.since(conversation_id=found.pk, after_seq=start, with_notes=True, limit=shown)
    can_label = may(viewer, "support.label")
    if any(row.is_note and "@" in row.text for row in rows):
        answering.read_mentions(conversation_id=found.pk, user=viewer, now=now)
    return Thread(
        conversation=found,
        name=name_of(found),
        lines=_lines(found, rows, can_label),
        upto=rows[-1].seq if rows else 0,
        # Where everything is new, a line saying so says nothing.
        first_new=next((row.seq for row in rows if row.author == Author.VISITOR and row.seq > found.agent_read_seq > 0), 0),
        earlier=shown + THREAD_TAIL if start and shown < LONGEST_THREAD else 0,
        labels=intents.choices(get_language() or "en", frozenset(labels.known_labels())) if can_label else [],
        draft=drafts.of(conversation_id=found.pk, user=viewer),
        is_mine=found.agent_id == viewer.pk and found.state != ConversationState.CLOSED,
        is_open=found.state != ConversationState.CLOSED,
        can_reply=may(viewer, "support.reply"),
        visitor_language=LANGUAGE_NAMES.get(found.language, found.language),
        stands=stands(found),
    )


@dataclass(frozen=True, slots=True)
class News:
    """The part of a thread above a number, for the console's live update."""

    conversation: Conversation
    lines: list[Line]
    upto: int
    labels: list[tuple[str, str]]
    can_reply: bool = True


def news_of(*, conversation_id: int, after: int, viewer: User) -> News:
    """Return the messages above `after`. At most 4 queries. Raises ConversationMissing."""
    found = teams.conversations_for(viewer).select_related("customer").filter(pk=conversation_id).first()
    if found is None:
        raise conversations.ConversationMissing
    rows = conversations.since(conversation_id=found.pk, after_seq=after, with_notes=True)
    can_label = may(viewer, "support.label")
    shown = intents.choices(get_language() or "en", frozenset(labels.known_labels())) if can_label and any(_asks(row) for row in rows) else []
    return News(found, _lines(found, rows, can_label), rows[-1].seq if rows else after, shown)


def _asks(row: Message) -> bool:
    return row.author == Author.VISITOR and row.kind == "text"


def _lines(found: Conversation, rows: list[Message], can_label: bool) -> list[Line]:
    corrected = set(IntentExample.objects.filter(message__in=rows).values_list("message_id", "label")) if can_label and rows else set()
    label_of = dict(corrected)
    visitor = name_of(found) if found.customer_id or found.visitor_name else gettext("Visitor")
    mailed = _mailed(found, rows)
    return [_line(found, row, visitor, label_of.get(row.pk, ""), can_label, mailed) for row in rows]


def _mailed(found: Conversation, rows: list[Message]) -> dict[int, str | Promise]:
    """Return what became of each mail to the visitor, by the number of its last line; a query only where there can be one."""
    if not rows or not addresses.contact_of(found):
        return {}
    words: dict[str, str | Promise] = {
        MailState.WAITING: _("being sent by e-mail"),
        MailState.SENT: _("sent by e-mail"),
        MailState.FAILED: _("e-mail not delivered"),
    }
    return {
        upto: words[state] for upto, state in ConversationMail.objects.filter(conversation=found, upto_seq__gte=rows[0].seq).values_list("upto_seq", "state")
    }


def _by_mail(row: Message) -> ByMail | None:
    about = row.data.get("mail") if row.kind == "mail" else None
    if not isinstance(about, dict):
        return None
    return ByMail(str(about.get("from", "")), about.get("is_known") is True, str(about.get("whole", "")), ", ".join(map(str, about.get("refused", []))))


def _line(found: Conversation, row: Message, visitor: str, label: str, can_label: bool, mailed: dict[int, str | Promise]) -> Line:
    language = get_language() or "en"
    names: dict[str, str | Promise] = {Author.VISITOR: visitor, Author.BOT: _("Assistant"), Author.SYSTEM: "", Author.AGENT: str(row.agent or _("Agent"))}
    judged = row.intent if row.in_scope is not False else OUT_OF_SCOPE if row.intent else ""
    return Line(
        pk=row.pk,
        seq=row.seq,
        client_id=row.client_id,
        author="note" if row.is_note else row.author,
        name=names[row.author],
        text=_system_text(row) if row.author == Author.SYSTEM else row.text,
        # What the shop itself says here is in the reader's language; what people wrote is in theirs.
        html_lang="" if row.author == Author.SYSTEM or not row.language else html_lang(row.language),
        kind=row.kind,
        at=row.sent_at,
        choices=[str(choice["name"]) for choice in row.data.get("choices", [])],
        source_title=str(row.data.get("title", "")),
        source_url=str(row.data.get("url", "")),
        source_version=str(row.data.get("version", "")),
        intent=judged,
        intent_name=intents.name(judged, language) if judged else "",
        confidence=row.confidence,
        in_scope=row.in_scope,
        label=label,
        label_name=intents.name(label, language) if label else "",
        can_label=can_label and _asks(row),
        is_discarded=row.reply_state == "discarded",
        is_read=row.author in {Author.AGENT, Author.BOT} and not row.is_note and row.seq <= found.visitor_read_seq,
        file_url=str(row.data.get("file", {}).get("url", "")),
        is_picture=str(row.data.get("file", {}).get("type", "")) in attachments.PICTURES,
        mail=_by_mail(row),
        mailed=mailed.get(row.seq, ""),
        is_delivered=row.author in {Author.AGENT, Author.BOT} and not row.is_note and row.seq <= found.visitor_got_seq,
    )


def _system_text(row: Message) -> str:
    match row.kind:
        case "joined":
            return gettext("{name} took the conversation.").format(name=row.data.get("name", ""))
        case "closed":
            return gettext("This conversation was closed.")
        case "reopened":
            return gettext("This conversation was opened again.")
        case "mail_failed":
            return gettext("The e-mail to {address} did not arrive ({error}).").format(address=row.data.get("to", ""), error=row.data.get("error", ""))
    return row.text
