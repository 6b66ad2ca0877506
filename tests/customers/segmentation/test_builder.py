"""What the builder works with: a rule as a sentence, templates, and drafts filled in by a form."""

import pytest
from django.http import QueryDict
from django.utils import translation

from customers.segmentation import draft, phrases, templates, tree
from tests.customers.segmentation.rules import rule

pytestmark = pytest.mark.django_db


def test_sentence_reads_as_one() -> None:
    parsed = tree.parse(
        {
            "op": "all",
            "rules": [
                rule("spent_amount", "at_least", 500),
                {"op": "any", "rules": [rule("stage", "any_of", ["at_risk", "lapsed"]), rule("ordered", "never", {"times": 1, "days": 60, "what": None})]},
                rule("email_allowed", "is", True),
            ],
        }
    )

    assert phrases.sentence(parsed) == (
        "Customers for whom Total spent is at least ¥500.00, and "
        "(Lifecycle stage is any of At risk, Lapsed, or Ordered: never in the last 60 days), and May be e-mailed: yes."
    )
    assert phrases.sentence(tree.parse({})) == "Every customer."


def test_sentence_is_translated_with_the_reader() -> None:
    with translation.override("zh-hans"):
        text = phrases.sentence(tree.parse(rule("first_seen_at", "on_or_after", "2026-03-31")))

    assert "2026年3月31日" in text


def test_templates_are_valid_and_round_trip_through_the_form() -> None:
    assert len(templates.TEMPLATES) == 6
    for template in templates.TEMPLATES:
        parsed = tree.parse(template.rule)
        posted = QueryDict(mutable=True)
        _post(draft.view(draft.of(parsed.as_data())), posted)
        assert tree.parse(draft.data(draft.read(posted))) == parsed


def _post(branch: draft.BranchView, posted: QueryDict) -> None:
    """Fill the form as a browser would send the printed rows."""
    posted[f"{branch.name}-op"] = branch.op
    for row in branch.rows:
        if isinstance(row, draft.BranchView):
            _post(row, posted)
            continue
        posted[f"{row.name}-field"] = posted[f"{row.name}-was"] = row.field.name
        posted[f"{row.name}-operator"] = row.operator.name
        if row.operator.takes == "window":
            for part, value in row.value.items():
                posted[f"{row.name}-{part}"] = str(value)
        elif row.operator.takes == "choices":
            posted.setlist(f"{row.name}-value", row.value)
        else:
            posted[f"{row.name}-value"] = row.value


def test_buttons_add_and_remove_nodes_and_unknown_ones_do_nothing() -> None:
    root = draft.Branch(nodes=[draft.Condition("country", "is", "CN")])

    draft.act(root, "add-group:r")
    draft.act(root, "add-rule:r-1")
    draft.act(root, "add-group:r-1")
    draft.act(root, "add-group:r-1-2")  # a fourth level: refused
    draft.act(root, "remove:r-0")
    for nonsense in ("", "drop:r", "remove:r", "remove:r-9", "add-rule:r-9-9", "add-rule:x", "remove:r-0-0-0-0-0"):
        draft.act(root, nonsense)

    assert draft.data(root) == {
        "op": "all",
        "rules": [
            {
                "op": "any",
                "rules": [
                    rule("orders_count", "at_least", 1),
                    rule("orders_count", "at_least", 1),
                    {"op": "any", "rules": [rule("orders_count", "at_least", 1)]},
                ],
            }
        ],
    }
