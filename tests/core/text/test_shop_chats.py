"""Two real shops' messages (HINT3): whether each shop's classifier knows the other shop's messages as none of its business."""

import numpy as np
import pytest

from crm.core.learning.evaluation import auroc, matthews, stratified_folds
from crm.core.text.classifier import TextClassifier
from tests import public_data

# Intents that both shops have under some name: where an order is, cancelling it, sending it back, a postcode's delivery,
# ways to pay, selling the shop's goods oneself. A message of these is no stranger to the other shop.
IN_COMMON = {
    "curekart": {
        "ORDER_STATUS",
        "DELAY_IN_PARCEL",
        "CANCEL_ORDER",
        "REFUNDS_RETURNS_REPLACEMENTS",
        "CHECK_PINCODE",
        "MODES_OF_PAYMENTS",
        "PAYMENT_AND_BILL",
        "FRANCHISE",
    },
    "sofmattress": {"ORDER_STATUS", "DELAY_IN_DELIVERY", "CANCEL_ORDER", "RETURN_EXCHANGE", "CHECK_PINCODE", "COD", "EMI", "DISTRIBUTORS"},
}
FOLDS = 4
STRANGE = "NO_NODES_DETECTED"


def chats(shop: str) -> tuple[list[str], np.ndarray]:
    rows = public_data.rows("hint3", f"{shop}_train.csv")
    return [row["sentence"] for row in rows], np.array([row["label"] for row in rows])


@pytest.mark.data
@pytest.mark.slow
@public_data.minutes_long
@pytest.mark.parametrize(("shop", "other", "share"), [("curekart", "sofmattress", 0.54), ("sofmattress", "curekart", 0.36)])
def test_figures_on_another_shop_s_messages(shop, other, share, capsys):
    """share: of strange messages in the shop's own test file, which was not looked at."""
    texts, labels = chats(shop)
    strange, of_other = chats(other)
    apart = np.array([label not in IN_COMMON[other] for label in of_other])
    fold = stratified_folds(np.unique(labels, return_inverse=True)[1], folds=FOLDS, seed=0)
    found = []
    for number in range(FOLDS):
        taught, asked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        model = TextClassifier().fit([texts[row] for row in taught], labels[taught].tolist())
        inside, outside = model.predict([texts[row] for row in asked]), model.predict(strange)
        right = (inside.labels == labels[asked]) & inside.in_scope
        for chosen in (np.arange(len(strange)), np.flatnonzero(apart)):
            area = auroc(np.append(np.ones(len(asked)), np.zeros(len(chosen))), np.append(inside.scope_score, outside.scope_score[chosen]))
            some = np.random.default_rng(number).permutation(chosen)[: round(len(asked) * share / (1 - share))]
            truth = np.append(labels[asked], np.full(len(some), STRANGE))
            said = np.append(np.where(inside.in_scope, inside.labels, STRANGE), np.where(outside.in_scope[some], outside.labels[some], STRANGE))
            found.append((area, matthews(truth, said), right.mean(), 1 - outside.in_scope[chosen].mean()))
    for name, every in (("all of the other shop's messages", found[::2]), ("those of intents not in common", found[1::2])):
        area, mcc, right_share, refused = np.mean(every, axis=0)
        public_data.show(capsys, f"hint3 {shop}, {name}: AUROC {area:.3f}, MCC {mcc:.3f}, in scope {right_share:.3f}, refused {refused:.3f}")
    assert np.mean(found[1::2], axis=0)[0] > 0.87


@pytest.mark.data
@pytest.mark.slow
@public_data.minutes_long
@pytest.mark.parametrize("shop", ["curekart", "sofmattress"])
def test_a_shops_own_messages_of_intents_nobody_taught_are_known_as_strange(shop, capsys):
    """A quarter of the intents is kept from each fold's classifier: the nearest there is to what a shop's own visitors ask beside them."""
    texts, labels = chats(shop)
    intents = np.unique(labels)
    fold = stratified_folds(np.unique(labels, return_inverse=True)[1], folds=FOLDS, seed=0)
    areas = []
    for number in range(FOLDS):
        untaught = np.isin(labels, np.random.default_rng(number).permutation(intents)[: len(intents) // 4])
        taught, asked, strange = (np.flatnonzero(rows) for rows in ((fold != number) & ~untaught, (fold == number) & ~untaught, untaught))
        model = TextClassifier().fit([texts[row] for row in taught], labels[taught].tolist())
        fits = model.predict([texts[row] for row in [*asked, *strange]]).scope_score
        areas.append(auroc(np.append(np.ones(len(asked)), np.zeros(len(strange))), fits))
    public_data.show(capsys, f"hint3 {shop}, intents left out: AUROC {np.mean(areas):.3f} ({min(areas):.3f} to {max(areas):.3f})")
    assert np.mean(areas) > 0.87
