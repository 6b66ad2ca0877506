"""Drafts: composed from facts alone, checked against them, and never in a mail before a person says so."""

import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from campaigns import copywriting, editing, facts, merge, preflight, sending, sentences
from campaigns.errors import CampaignChanged, CampaignNotDraft, CampaignNotReady
from campaigns.facts import Facts, ProductFact
from campaigns.models import Campaign, CopyDraft, DraftOutcome
from crm.core.errors import NotFound
from crm.core.llm.backends import Answer, Budget, GeneratorUnavailable, Prompt
from crm.core.llm.schemas import Schema
from crm.core.models import AuditEntry, User
from tests.campaigns.conftest import NOW

Make = Callable  # type: ignore[type-arg]
POT = ProductFact(1, {"": "Iron pot", "en": "Iron pot", "zh-hans": "铁壶"}, Decimal("88.00"), "CNY", {"en": "Tea"})
CUP = ProductFact(2, {"": "Oak cup", "en": "Oak cup", "zh-hans": "橡木杯"}, Decimal("25.50"), "CNY", {"en": "Tea"})
FACTS = Facts(shop="Moss", goal="Win back: 10% off with MOSS10", segment="Silent for 60 days", products=(POT, CUP))


class Scripted:
    """A language model that answers what the test wrote and remembers what it was asked."""

    def __init__(self, answer: object) -> None:
        self.answer_ = answer
        self.asked: list[Prompt] = []

    def answer(self, prompt: Prompt, *, schema: Schema, budget: Budget) -> Answer:
        self.asked.append(prompt)
        if isinstance(self.answer_, Exception):
            raise self.answer_
        return Answer(self.answer_ if isinstance(self.answer_, str) else json.dumps(self.answer_, ensure_ascii=False), "scripted", 42)


def codes(text: str, known: Facts = FACTS) -> list[str]:
    return [fault.code for fault in facts.check(subject="", body=text, facts=known)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("“Iron pot” costs ¥88.00.", []),
        ("“Iron pot” (¥88) and “Oak cup” (25.50元)", []),
        ("“Iron pot” costs ¥80.", ["price_unknown", "price_wrong"]),
        ("“Iron pot” is ¥25.50 today", ["price_wrong"]),
        ("Only 19.99 yuan", ["price_unknown"]),
        ("CNY 1,299.00", ["price_unknown"]),
        ("10% off with MOSS10", []),
        ("二十 percent? 20% off", ["discount_unknown"]),
        ("全场九折", []),
        ("全场85折", ["discount_unknown"]),
        ("use SAVE50 now", ["code_unknown"]),
        ("see https://evil.example/x", ["link_unknown"]),
        ("write to ceo@moss.example", ["link_unknown"]),
        ("our “Golden pot” is back", ["product_unknown"]),
        ("我们的「金壶」", ["product_unknown"]),
        ("全场包邮", ["promise_unknown"]),
        ("Free shipping for you", ["promise_unknown"]),
        ("{{ first_name|friend }}", []),
        ("{{ first_name|20% friend }}", ["discount_unknown"]),
    ],
)
def test_fact_check(text: str, found: list[str]) -> None:
    assert codes(text) == found


def test_a_promise_the_goal_makes_may_be_repeated() -> None:
    known = Facts("Moss", "包邮活动，满减", "", (POT,))

    assert codes("全场包邮", known) == []


@pytest.mark.parametrize("language", copywriting.LANGUAGES)
@pytest.mark.parametrize("theme", [*sentences.SIGNS, "general"])
def test_every_composed_text_keeps_to_the_facts_and_the_fields(language: str, theme: str) -> None:
    goal = {"general": "Say hello", "offer": "10% off with MOSS10"}.get(theme) or sentences.SIGNS[theme][0]
    known = Facts("Moss", goal, "", (POT, CUP))

    seen = set()
    for number in range(6):
        draft = copywriting.compose(facts=known, language=language, number=number)
        checked = copywriting.COPY.check(draft)
        subject, body = str(checked["subject"]), str(checked["body"])
        merge.parse(subject, subject=True)
        assert "recommendations" in merge.names(body)
        assert merge.without_fallback(subject + body) == ()
        assert facts.check(subject=subject, body=body, facts=known) == ()
        assert ("铁壶" in body) == (language == "zh-hans")
        seen.add(subject + body)
    assert len(seen) > 1


def test_a_stated_discount_is_said_once_and_two_are_not_guessed_at() -> None:
    one = copywriting.compose(facts=FACTS, language="en", number=0)["body"]
    two = copywriting.compose(facts=Facts("Moss", "10% or 20% off", "", ()), language="en", number=0)["body"]

    assert "With the code MOSS10 you get 10% off." in str(one)
    assert "%" not in str(two)


@pytest.mark.parametrize(
    ("goal", "theme"), [("Win back silent customers", "win_back"), ("召回老客", "win_back"), ("欢迎新客", "welcome"), ("Tea day", "general")]
)
def test_the_goal_tells_the_theme(goal: str, theme: str) -> None:
    assert sentences.theme_of(goal, "") == theme


@pytest.mark.django_db
def test_a_draft_is_stored_with_its_facts_and_origin(make_campaign: Make, make_customer: Make, make_product: Make, make_order: Make) -> None:
    make_order(make_customer(), at=NOW.replace(month=5), product=make_product("Iron pot", chinese="铁壶"))
    campaign = make_campaign(goal="Win back")

    draft = copywriting.draft(campaign=campaign, language="zh-hans", at=NOW)

    assert (draft.outcome, draft.origin, draft.faults) == (DraftOutcome.OFFERED, "composer:1", [])
    assert "“铁壶”（¥88.00）" in draft.body
    assert draft.facts["products"][0]["name"] == "铁壶"
    assert len(draft.prompt_version) == 12


@pytest.mark.django_db
def test_a_goal_that_names_a_category_keeps_to_it(make_campaign: Make, make_customer: Make, make_product: Make, make_order: Make) -> None:
    from customers.models import Category

    lamps = Category.objects.create(slug="lamps", names={"en": "Lamps", "zh-hans": "灯具"})
    make_order(make_customer(), at=NOW.replace(month=5), product=make_product("Iron pot"))
    lamp = make_product("Paper lamp", category=lamps)

    for goal in ("New lamps for spring", "春季灯具上新"):
        assert [product.id for product in facts.gather(campaign=make_campaign(goal=goal), at=NOW).products] == [lamp.pk]


@pytest.mark.django_db
def test_a_language_models_text_passes_the_same_check(make_campaign: Make) -> None:
    model = Scripted({"subject": "Hello {{ first_name|there }}", "body": "Everything 50% off at https://x.example, ask for {{ password }}."})

    draft = copywriting.draft(campaign=make_campaign(goal="Say hi to ana@people.example"), language="en", at=NOW, backend=model)

    assert (draft.outcome, draft.origin) == (DraftOutcome.BLOCKED, "scripted:scripted")
    assert [fault["code"] for fault in draft.faults] == ["discount_unknown", "link_unknown", "field_unknown"]
    assert "ana@people.example" not in model.asked[0].user
    assert "[email 1]" in model.asked[0].user
    with pytest.raises(NotFound):
        copywriting.use(draft_id=draft.pk, actor=None)


@pytest.mark.django_db
@pytest.mark.parametrize("answer", ["no JSON here", {"subject": "only"}, {"subject": "x" * 121, "body": "y"}, GeneratorUnavailable()])
def test_a_model_that_fails_is_replaced_and_the_draft_says_so(make_campaign: Make, answer: object) -> None:
    draft = copywriting.draft(campaign=make_campaign(), language="en", at=NOW, backend=Scripted(answer))

    assert (draft.outcome, draft.origin) == (DraftOutcome.OFFERED, "composer:1")
    assert "composed from facts instead" in draft.note


@pytest.mark.django_db
def test_a_used_draft_blocks_the_send_until_someone_approves(make_campaign: Make, make_customer: Make, marketer: User) -> None:
    make_customer()
    campaign = make_campaign(texts={})
    draft = copywriting.draft(campaign=campaign, language="en", at=NOW)
    copywriting.use(draft_id=draft.pk, actor=marketer)

    text = campaign.texts.get()
    assert (text.origin, text.is_approved) == ("composer:1", False)
    with pytest.raises(CampaignNotReady) as caught:
        sending.launch(campaign_id=campaign.pk, actor=marketer, now=NOW)
    assert "not_approved" in caught.value.data["faults"]  # type: ignore[operator]

    editing.approve(campaign_id=campaign.pk, language="en", actor=marketer)
    sending.launch(campaign_id=campaign.pk, actor=marketer, now=NOW)
    assert campaign.deliveries.count() == 1


@pytest.mark.django_db
def test_a_new_draft_makes_the_old_one_stale_and_reads_differently(make_campaign: Make) -> None:
    campaign = make_campaign()
    first = copywriting.draft(campaign=campaign, language="en", at=NOW)
    second = copywriting.draft(campaign=campaign, language="en", at=NOW)

    first.refresh_from_db()
    assert first.outcome == DraftOutcome.STALE
    assert first.subject != second.subject
    with pytest.raises(NotFound):
        copywriting.use(draft_id=first.pk, actor=None)


@pytest.mark.django_db
def test_asking_for_drafts_starts_a_job_that_writes_both(make_campaign: Make, marketer: User, django_capture_on_commit_callbacks: Make) -> None:
    campaign = make_campaign()

    with django_capture_on_commit_callbacks(execute=True):
        job = copywriting.request(campaign_id=campaign.pk, actor=marketer, now=NOW)

    job.refresh_from_db()
    assert (job.state, job.done) == ("done", 2)
    assert sorted(CopyDraft.objects.values_list("language", flat=True)) == ["en", "zh-hans"]


@pytest.mark.django_db
def test_editing_needs_the_version_one_saw(make_campaign: Make, marketer: User) -> None:
    campaign = make_campaign(version=1)
    texts = {"en": editing.Written("New", "Body")}

    editing.change(campaign_id=campaign.pk, version=1, values={"name": "Mine"}, texts=texts, actor=marketer)
    with pytest.raises(CampaignChanged):
        editing.change(campaign_id=campaign.pk, version=1, values={"name": "Theirs"}, texts={"en": editing.Written("Other", "Other")}, actor=marketer)

    campaign.refresh_from_db()
    assert (campaign.name, campaign.version, campaign.texts.get().subject) == ("Mine", 2, "New")
    assert AuditEntry.objects.get().data == {"changed": ["name", "text.en"]}


@pytest.mark.django_db
def test_editing_a_model_text_makes_it_ones_own_and_saving_it_unread_does_not(make_campaign: Make) -> None:
    campaign = make_campaign()
    campaign.texts.update(origin="composer:1", is_approved=False)
    text = campaign.texts.get()

    editing.change(campaign_id=campaign.pk, version=1, values={}, texts={"en": editing.Written(text.subject, text.body.replace("\n", "\r\n"))}, actor=None)
    assert not campaign.texts.get().is_approved
    assert Campaign.objects.get().version == 1

    editing.change(campaign_id=campaign.pk, version=1, values={}, texts={"en": editing.Written(text.subject, text.body + " And more.")}, actor=None)
    assert (campaign.texts.get().origin, campaign.texts.get().is_approved) == ("staff", True)


@pytest.mark.django_db
def test_bad_fields_store_nothing(make_campaign: Make) -> None:
    campaign = make_campaign()

    with pytest.raises(merge.UnknownField):
        editing.change(campaign_id=campaign.pk, version=1, values={"name": "Other"}, texts={"en": editing.Written("S", "{{ nope }}")}, actor=None)

    campaign.refresh_from_db()
    assert campaign.name == "Spring"


@pytest.mark.django_db
def test_a_copy_is_a_draft_with_its_own_draw(make_campaign: Make, marketer: User) -> None:
    campaign = make_campaign(state="sent", started_at=NOW, holdout_percent=15)

    copy = editing.duplicate(campaign_id=campaign.pk, actor=marketer)

    assert (copy.state, copy.holdout_percent, copy.started_at, copy.segment_id) == ("draft", 15, None, campaign.segment_id)
    assert copy.seed != campaign.seed
    assert copy.texts.get().body == campaign.texts.get().body
    with pytest.raises(CampaignNotDraft):
        editing.delete(campaign_id=campaign.pk, actor=marketer)


@pytest.mark.django_db
def test_preflight_warns_of_what_a_person_stated_without_facts(make_campaign: Make, make_product: Make, make_customer: Make) -> None:
    from campaigns import audiences

    make_product("Iron pot", price="88.00")
    make_customer(locale="zh-hans")
    campaign = make_campaign(goal="Hello", texts={"en": ("Hi {{ first_name }}", "“Iron pot” ¥88.00, “Gold pot” ¥12, free shipping")})

    findings = preflight.check(campaign=campaign, audience=audiences.plan(campaign=campaign, at=NOW))

    assert [finding.code for finding in findings] == [
        "no_fallback", "price_unknown", "product_unknown", "promise_unknown", "other_language", "no_holdout", "text_ready", "audience_ready",
    ]  # fmt: skip
    assert not any(finding.is_blocking for finding in findings)
