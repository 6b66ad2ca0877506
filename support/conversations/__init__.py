"""The verbs on a conversation: open, post, assign, take, hand over, snooze, close, reopen, rate.

Every verb locks the conversation's row first, so messages are numbered without a gap and two people cannot act on the
same state at once. What a verb changes is announced after commit; the announcement may be lost, the row is not.
"""

from support.conversations.handing import assign, await_person, close, end_answered, hand_over, move_customer, reopen, snooze, take, wake, wake_one
from support.conversations.opening import adopt, as_it_stands, current, for_visitor, open
from support.conversations.posting import Posted, post, post_together, since, visitor_line
from support.conversations.rules import (
    LONGEST_CLIENT_ID,
    LONGEST_TEXT,
    OPEN_STATES,
    PAGE,
    SAME_SUBJECT,
    SEEN_BY_STAFF,
    AlreadyTaken,
    ClientIdBad,
    ConversationMissing,
    ConversationOver,
    EmailBad,
    RatingBad,
    TextEmpty,
    TextTooLong,
    checked,
    cleaned,
    locked,
)
from support.conversations.visiting import leave_address, mark_got, mark_read, rate
from support.quick import VisitorLine

__all__ = [
    "LONGEST_CLIENT_ID",
    "LONGEST_TEXT",
    "OPEN_STATES",
    "PAGE",
    "SAME_SUBJECT",
    "SEEN_BY_STAFF",
    "AlreadyTaken",
    "ClientIdBad",
    "ConversationMissing",
    "ConversationOver",
    "EmailBad",
    "Posted",
    "RatingBad",
    "TextEmpty",
    "TextTooLong",
    "VisitorLine",
    "adopt",
    "as_it_stands",
    "assign",
    "await_person",
    "checked",
    "cleaned",
    "close",
    "current",
    "end_answered",
    "for_visitor",
    "hand_over",
    "leave_address",
    "locked",
    "mark_got",
    "mark_read",
    "move_customer",
    "open",
    "post",
    "post_together",
    "rate",
    "reopen",
    "since",
    "snooze",
    "take",
    "visitor_line",
    "wake",
    "wake_one",
]
