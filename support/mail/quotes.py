"""What somebody newly wrote in an answer, without the mail it quotes and without the signature. Pure text.

It cuts only what is certain. A quotation in the middle of an answer is part of the answer; where nothing would be left,
nothing is cut. The whole text is kept beside the message, so a wrong cut loses nothing.
"""

import re

# The first line of every mail of ours; mail programs quote it with the rest.
MARKS = ("–– Please write your answer above this line ––", "–– 请在此线以上回复 ––")

_QUOTED = re.compile(r"^\s*[>|]")
# "On Mon, 3 June 2026 at 10:00, Shop <a@b> wrote:", in the shapes mail programs of our visitors give it.
_ATTRIBUTION = re.compile(
    r"^\s*(on\b.{5,300}\bwrote|am\b.{5,300}\bschrieb.{0,100}|le\b.{5,300}\ba écrit|el\b.{5,300}\bescribió|在.{5,300}写道|.{2,200}于.{5,200}写道)\s*[:：]\s*$",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTION_LINES = 3
_DIVIDER = re.compile(
    r"^\s*[-_—]{2,}\s*(original message|forwarded message|original appointment|ursprüngliche nachricht|message d'origine|原始邮件|原邮件|转发邮件|回复的原邮件)\s*[-_—]{2,}\s*$",
    re.IGNORECASE,
)
# Outlook's block of headers: the sender's line followed within three lines by the time and the subject or recipient.
_FIRST_HEADER = re.compile(r"^\s*\*?(from|发件人|von|de)\*?\s*[:：]\s*\S", re.IGNORECASE)
_OTHER_HEADERS = re.compile(
    r"^\s*\*?(sent|date|to|cc|subject|发送时间|日期|时间|收件人|抄送|主题|gesendet|an|betreff|envoyé|à|objet)\*?\s*[:：]", re.IGNORECASE
)
_SIGNATURE = re.compile(r"^-- ?$")
# Lines that a phone adds by itself; only as the last line of all.
_SENT_FROM = re.compile(
    r"^\s*(sent from my \S.{0,40}|sent from (outlook|mail|yahoo|gmail)\b.{0,60}|get outlook for \S.{0,60}|发自我的.{1,30}|从我的.{1,30}发送|von meinem .{1,30} gesendet)\s*$",
    re.IGNORECASE,
)
# A signature is short; more text below the two dashes may be meant.
LONGEST_SIGNATURE_LINES = 12


def new_part(text: str) -> str:
    """Return what was newly written in `text`, or the whole of it where that would be nothing."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    kept = _without_signature(_without_below(_without_history(lines)))
    found = "\n".join(kept).strip()
    return re.sub(r"\n{3,}", "\n\n", found) if found else text.strip()


def _without_history(lines: list[str]) -> list[str]:
    """Cut from our own mark, a divider or a block of headers on: below them, mail programs write nothing new."""
    for at, line in enumerate(lines):
        if any(mark in line for mark in MARKS) or _DIVIDER.match(line) or _begins_headers(lines, at):
            above = _without_attribution(lines[:at])
            # Somebody may have answered below the quotation; then all of it stays for the next steps.
            return above if _says_something(above) else lines
    return lines


def _begins_headers(lines: list[str], at: int) -> bool:
    return bool(_FIRST_HEADER.match(lines[at])) and sum(bool(_OTHER_HEADERS.match(line)) for line in lines[at + 1 : at + 5]) >= 2


def _without_attribution(lines: list[str]) -> list[str]:
    """Take away the 'On … wrote:' at the end; it may be broken over three lines."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or _QUOTED.match(lines[end - 1])):
        end -= 1
    for count in range(1, min(_ATTRIBUTION_LINES, end) + 1):
        if _ATTRIBUTION.match(" ".join(lines[end - count : end])):
            return lines[: end - count]
    return lines


def _without_below(lines: list[str]) -> list[str]:
    """Take away the quotation at the end, or at the beginning where the answer stands below it."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or _QUOTED.match(lines[end - 1])):
        end -= 1
    if any(_QUOTED.match(line) for line in lines[end:]):
        return _without_attribution(lines[:end])
    begin = next((at for at, line in enumerate(lines) if line.strip()), 0)
    for count in range(_ATTRIBUTION_LINES, 0, -1):
        if _ATTRIBUTION.match(" ".join(lines[begin : begin + count])):
            begin += count
            break
    after = begin
    while after < len(lines) and (not lines[after].strip() or _QUOTED.match(lines[after])):
        after += 1
    below = lines[after:]
    # Quotations further down mean that the answer is written between them: then all stays as it is.
    if after > begin and not any(_QUOTED.match(line) for line in below) and _says_something(below):
        return below
    return lines


def _without_signature(lines: list[str]) -> list[str]:
    for at in range(len(lines) - 1, -1, -1):
        if _SIGNATURE.match(lines[at]):
            if len(lines) - at - 1 <= LONGEST_SIGNATURE_LINES and _says_something(lines[:at]):
                lines = lines[:at]
            break
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    if lines and _SENT_FROM.match(lines[-1]) and _says_something(lines[:-1]):
        return lines[:-1]
    return lines


def _says_something(lines: list[str]) -> bool:
    return any(line.strip() and not _QUOTED.match(line) for line in lines)
