"""The mail to a visitor who left: staff's lines, the last ones before them as a quotation, and an address that leads back."""

from collections.abc import Sequence
from datetime import datetime
from email import policy
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import Policy
from email.utils import format_datetime

from django.conf import settings
from django.utils import timezone

from support import attachments, phrases
from support.language import html_lang
from support.mail import addresses
from support.models import Attachment, Conversation, ConversationMail, Message
from support.models.conversation import Author


class _Ids(UnstructuredHeader, BaseHeader):
    """Message ids, one a line: the standard folding encodes those longer than a line, and no mail program knows them again."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {f'{policy.linesep} '.join(self.split())}{policy.linesep}"


_HEADERS = HeaderRegistry()
for _name in ("in-reply-to", "references"):
    _HEADERS.map_to_type(_name, _Ids)
# 7-bit bodies pass every server; headers are encoded per RFC 2047.
POLICY = policy.SMTP.clone(cte_type="7bit", max_line_length=76, header_factory=_HEADERS)
# Lines quoted below the answer, to say what it answers.
QUOTED = 4
# Bytes of files sent along; larger ones are named with their address.
LARGEST_FILES = 8_000_000


def compose(*, row: ConversationMail, lines: Sequence[Message], before: Sequence[Message], answers: Sequence[str], at: datetime) -> EmailMessage:
    """Return the mail of `row` with `lines` (needs `agent`), quoting `before`. answers: ids of the thread, oldest first."""
    talk: Conversation = row.conversation
    language = talk.language
    mail = EmailMessage(policy=POLICY)
    shop = talk.source.name
    person = next((each.agent.first_name or each.agent.get_username() for each in reversed(lines) if each.agent), "")
    address = addresses.reply_address(talk)
    mail["From"] = Address(display_name=phrases.say("mail_sender", language, name=person, shop=shop) if person else shop, addr_spec=address)
    mail["Reply-To"] = Address(addr_spec=address)
    mail["To"] = Address(addr_spec=row.to)
    mail["Subject"] = phrases.say("mail_subject", language, shop=shop).replace("\n", " ")
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = row.message_id
    if answers:
        mail["In-Reply-To"], mail["References"] = answers[-1], " ".join(answers[-10:])
    # A person wrote this, so it is not auto-submitted; answers of machines are still not wanted (Exchange's header).
    mail["X-Auto-Response-Suppress"] = "All"
    files = _files(lines)
    texts = [each.text if each.kind != "file" else f"[{each.text}]" if each.pk in files else f"[{each.text}] {_address(each)}" for each in lines]
    body = [phrases.say("mail_above", language), "", "\n\n".join(texts), "", phrases.say("mail_sender", language, name=person, shop=shop) if person else shop]
    body += ["", phrases.say("mail_foot", language)]
    if before:
        body += ["", *(f"> {line}" for each in before for line in _quoted(each, language))]
    mail.set_content("\n".join(body) + "\n")
    mail["Content-Language"] = html_lang(language)
    for file, content in files.values():
        kind, _, subtype = file.media_type.partition("/")
        mail.add_attachment(content, maintype=kind, subtype=subtype, filename=file.name)
    return mail


def _quoted(message: Message, language: str) -> list[str]:
    who = phrases.say({Author.VISITOR: "mail_you", Author.AGENT: "mail_we"}.get(Author(message.author), "mail_assistant"), language)
    return [f"{who} ({timezone.localtime(message.sent_at):%Y-%m-%d %H:%M})", *(f"  {line}" for line in message.text[:1000].splitlines())]


def _files(lines: Sequence[Message]) -> dict[int, tuple[Attachment, bytes]]:
    """Return the files that go along, by their message."""
    left = LARGEST_FILES
    found: dict[int, tuple[Attachment, bytes]] = {}
    for message in lines:
        if message.kind != "file":
            continue
        try:
            row, content = attachments.read(_address(message).strip("/").rpartition("/")[2])
        except attachments.FileMissing:
            continue
        if len(content) <= left:
            left -= len(content)
            found[message.pk] = (row, content)
    return found


def _address(message: Message) -> str:
    return f"{settings.CRM_PUBLIC_URL}{message.data.get('file', {}).get('url', '')}"
