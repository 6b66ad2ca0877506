"""Background work of the agents' assistance: preparing suggestions and reading off replies what became of them."""

from celery import shared_task

from crm.core import clock
from crm.core.events import listen
from support.events import MessagePosted


def connect() -> None:
    """Subscribe; called once from the app's ready(), which also makes the tasks known to workers."""
    listen(MessagePosted, settle_suggestion_of)


def settle_suggestion_of(event: MessagePosted) -> None:
    """An agent's reply says what became of the suggestion before it."""
    if event.author == "agent" and not event.is_note and event.cause != "demo":
        settle_suggestion.delay(event.message_id)


@shared_task(name="support.assistant_tasks.prepare_suggestion", queue="live")
def prepare_suggestion(*, message_id: int, agent_id: int, **_later: object) -> bool:
    """Prepare the suggestion an agent's page asked for."""
    from support import assist

    return assist.prepare(message_id=message_id, agent_id=agent_id, now=clock.now()) is not None


@shared_task(name="support.assistant_tasks.judge_messages", queue="learning")
def judge_messages(**_later: object) -> int:
    """Judge visitors' messages that nobody judged; returns how many."""
    from support import judging

    return judging.catch_up(now=clock.now())


@shared_task(name="support.assistant_tasks.settle_suggestion", queue="default")
def settle_suggestion(message_id: int, **_later: object) -> str:
    """Return what became of the suggestion shown before an agent's reply."""
    from support import assist

    return assist.settle(message_id=message_id, now=clock.now())
