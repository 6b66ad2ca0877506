"""A shop with a widget and one conversation in it."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections

from crm.core.models import Source, User
from crm.core.models.people import Role
from support import consumers, conversations
from support.models import Article, ArticleText, Conversation
from tests.factories import SourceFactory, UserFactory

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
VISITOR = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def shop(db: None) -> Source:
    return SourceFactory(name="The tea shop", write_key="wk_tea", identity_secret="pepper", allowed_origins=["https://tea.example"])


@pytest.fixture
def talk(shop: Source) -> Conversation:
    """A conversation with the assistant, nothing said yet."""
    return conversations.open(source_id=shop.pk, visitor_id=VISITOR, now=NOW)


@pytest.fixture
def agent(db: None) -> User:
    return UserFactory(username="mei", first_name="Mei", role=Role.AGENT)


@pytest.fixture
def delivery_article(db: None) -> Article:
    article = Article.objects.create(slug="delivery_time", intents=["delivery_time"])
    ArticleText.objects.create(article=article, language="en", title="How long?", body="It takes **two** days.\n\nMore words.", version=3)
    ArticleText.objects.create(article=article, language="zh-hans", title="多久？", body="两天送达。\n\n更多。")
    return article


@pytest.fixture
def no_prompt_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave owed replies to the test instead of drafting them as soon as the message is committed."""
    from support.tasks import draft_reply

    monkeypatch.setattr(draft_reply, "delay", lambda *_: None)


@pytest.fixture(autouse=True, scope="package")
def _close_threads(django_db_blocker: Any) -> Iterator[None]:
    """Close the connections of the chat's own threads and of asgiref's, or the test database cannot be dropped."""
    yield
    together = threading.Barrier(consumers.THREADS)

    def close() -> None:
        # All threads at once: otherwise a quick one would do the work of several.
        together.wait(10)
        connections.close_all()

    with django_db_blocker.unblock():
        for waiting in [consumers.pool.submit(close) for _ in range(consumers.THREADS)]:
            waiting.result()
        SyncToAsync.single_thread_executor.submit(connections.close_all).result()


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)
