"""Bad frames, floods and crowds: answered, slowed down or cut off, and the neighbour is not."""

from typing import Any

import pytest

from support import crowds, frames, limits
from support.models import Message
from tests.support.sockets.conftest import Open
from tests.support.sockets.websocket import hear, hear_close, say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio, pytest.mark.usefixtures("no_prompt_reply")]

BAD_FRAMES = [
    "", "{", "[]", "null", "5", '"hello"', '{"type":null}', '{"type":"__init__"}', '{"type":"chat.hint"}', '{"type":"chat_hint"}', '{"type":"close"}',
    '{"type":"send"}', '{"type":"send","client_id":"a","text":5}', '{"type":"send","client_id":"a","text":"x","author":"agent"}',
    '{"type":"send","client_id":"a","text":"x","note":true}', '{"type":"send","client_id":"a","text":"x","conversation":7}',
    '{"type":"since","seq":-1}', '{"type":"since","seq":true}', '{"type":"since","seq":1e300}', '{"type":"since","seq":99999999999999999999}',
    '{"type":"read","seq":"1"}', '{"type":["send"]}', '{"type":"send","client_id":"a","text":"\\ud800"}', "[" * 5000, '{"a":' * 5000,
    '{"type":"send","client_id":"a\\u0000","text":"x"}', '{"type":"send","client_id":"a","text":"x","choice":"\\u0000"}',
    '{"type":"send","client_id":"a","text":"' + "x" * 20_001 + '"}', '{"type":"hello"}', '{"type":"rate","score":NaN}',
]  # fmt: skip


async def test_bad_frames_get_one_constant_answer_and_the_socket_lives(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FRAME_BURST", 1000)
    socket = await visit()
    await hear(socket, "messages")

    for text in BAD_FRAMES:
        await socket.send_to(text_data=text)
        assert await socket.receive_from() == frames.BAD_FRAME, text
    await socket.send_to(bytes_data=b"\x00\xff")
    assert await socket.receive_from() == frames.BAD_FRAME
    await say(socket, type="ping")

    assert await socket.receive_from() == '{"type":"pong"}'
    assert not await Message.objects.aexists()


async def test_a_flood_is_cut_off_and_the_neighbour_is_not(visit: Open) -> None:
    flooder, neighbour = await visit(), await visit(visitor_id="f" * 32)
    await hear(neighbour, "messages")

    for _ in range(limits.FRAME_BURST + 5):
        await say(flooder, type="ping")

    assert await hear_close(flooder) == 4429
    await say(neighbour, type="ping")
    assert await neighbour.receive_from(timeout=10) == '{"type":"pong"}'


async def test_one_address_may_not_open_sockets_without_end(visit: Open, settings: Any) -> None:
    settings.CRM_CHAT_ADDRESS_SOCKETS = 3
    opened = [await visit(hello=False) for _ in range(4)]

    assert [socket.is_accepted for socket in opened] == [True, True, True, False]
    await opened[0].disconnect()
    assert (await visit(hello=False)).is_accepted


@pytest.mark.parametrize("bucket", ["address_sends", "widget_sends"])
async def test_a_crowd_of_one_address_or_widget_is_slowed_down_without_being_cut_off(visit: Open, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    narrow = limits.Buckets(per_second=0.2)
    monkeypatch.setattr(crowds, bucket, narrow)
    crowd = [await visit(visitor_id=f"{number:032x}") for number in range(4)]

    answers = []
    for socket, kind in zip(crowd, ["ack", "ack", "ack", "error"], strict=True):
        await say(socket, type="send", client_id="a", text="hello")
        answers.append((await hear(socket, kind)).get("code"))

    assert answers == [None, None, None, "too_fast"]
    assert await Message.objects.acount() == 3


async def test_asking_for_a_person_again_and_again_is_counted_like_writing(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "address_sends", limits.Buckets(per_second=0.2))
    socket = await visit()
    await hear(socket, "messages")

    for _ in range(4):
        await say(socket, type="person")

    assert (await hear(socket, "error"))["code"] == "too_fast"
