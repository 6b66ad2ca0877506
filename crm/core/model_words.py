"""Words for the codes in model reports: figures, tables, columns, algorithms, baselines; whole stored sentences are in crm/core/model_sentences.py.

Training code stores codes, and sentences with numbers in English; people read these. A code without a word here is shown
with its underscores as spaces, a sentence without a translation as it was stored.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from crm.core import countries
from crm.core.model_sentences import SENTENCES as SENTENCES
from crm.core.model_sentences import sentence as sentence

Words = dict[str, str | Promise]

FIGURES: Words = {
    "hit_rate_10": _("Next purchase within the first 10"),
    "ndcg_10": _("Ranking quality of the first 10 (NDCG)"),
    "new_hit_rate_10": _("Next new product within the first 10"),
    "hit_rate_10_baseline": _("Hits in 10, popularity"),
    "ndcg_10_baseline": _("NDCG in 10, popularity"),
    "coverage": _("Share of the catalogue recommended to someone"),
    "accuracy": _("Right answers"),
    "macro_f1": _("F1, every class counting the same"),
    "auroc": _("Ranking of yes over no (AUC)"),
    "calibration_error": _("Distance between said and happened"),
    "spearman_spend": _("Order of customers by later spend"),
    "spearman_orders": _("Order of customers by later orders"),
    "mae_orders": _("Mean error in orders"),
    "mae_spend": _("Mean error in spend"),
    "interval_coverage": _("Customers within their 95% interval"),
    "answered": _("Answered without a person"),
    "answers_right": _("Of the answered, rightly"),
    "clarified": _("Asked back"),
    "scope_auroc": _("Own questions ranked above foreign ones (AUC)"),
    "out_of_scope_refused": _("Foreign questions recognised"),
    "in_scope_kept": _("Own questions kept"),
    "matthews_with_out_of_scope": _("Matthews correlation, foreign questions included"),
    "log_likelihood": _("Log-likelihood"),
    "pr_auc": _("Precision over all thresholds (area)"),
    "lift_10": _("The likeliest tenth against the average"),
    "log_loss": _("Surprise per customer (log-loss)"),
    "brier": _("Mean squared error of probabilities (Brier)"),
}

COLUMNS: Words = {
    "class": _("Class"),
    "precision": _("Precision"),
    "recall": _("Recall"),
    "f1": _("F1"),
    "rows": _("Rows"),
    "truth": _("Truth"),
    "predicted": _("Predicted"),
    "slice": _("Group"),
    "value": _("Value"),
    "baseline": _("Baseline"),
    "name": _("Name"),
    "customers": _("Customers"),
    "stage": _("Stage"),
    "bought_again": _("Bought again"),
    "refused": _("Recognised"),
    "known_products": _("Products known of the customer"),
    "hit_rate_10": _("Hits in 10"),
    "ndcg_10": _("NDCG in 10"),
    "transition_weight": _("Weight of the order of purchases"),
    "fade": _("Fading of older purchases"),
    "shrinkage": _("Caution with rare pairs"),
    "popularity_weight": _("Weight of popularity"),
    "chosen": _("Chosen"),
    "tenth": _("Tenth, the likeliest first"),
    "part": _("Tenth, highest first"),
    "realised": _("Realised"),
    "stated": _("Said"),
    "happened": _("Happened"),
    "lift": _("Times the average"),
    "feature": _("What is known"),
    "term": _("Word"),
    "penalty": _("Penalty"),
    "mean_effect": _("Mean effect (log-odds)"),
    "direction": _("More of it"),
    "picked": _("Picked"),
    "picked_of_happened": _("Picked of those it happened to"),
    "parity_difference": _("Difference picked (parity)"),
    "opportunity_difference": _("Difference picked of those it happened to"),
    "disparate_impact": _("Ratio picked (disparate impact)"),
    "parity_after": _("Difference left with thresholds by group"),
    "auc_cost": _("Ranking lost by it (AUC)"),
    "low": _("From"),
    "high": _("To"),
    "state": _("State"),
    "orders_per_month": _("Orders per month"),
    "enters": _("Customers begin here"),
    "stays": _("Stays from month to month"),
    "silent_three_months": _("No order in three months"),
    "from_stage": _("From"),
    "to_stage": _("To"),
    "share": _("Share"),
    "awake_after_contact": _("Still ordering after a message"),
    "awake_without": _("Still ordering without"),
    "difference": _("Difference"),
    "compared_with": _("Compared with"),
    "customer_months": _("Customer months"),
    "from_variable": _("From"),
    "to_variable": _("To"),
    "variable": _("Fact"),
    "value_of_variable": _("Value"),
    "chance_of_purchase": _("Chance of a purchase"),
    "gone": _("gone"),
    "asleep": _("asleep"),
    "active": _("active"),
    "occasional": _("occasional"),
    "regular": _("regular"),
    "frequent": _("frequent"),
    "heavy": _("heavy"),
}

TABLES: Words = {
    "classes": _("By class"),
    "confusions": _("Commonest mistakes"),
    "slices": _("By group"),
    "candidates": _("Settings tried on earlier orders"),
    "parameters": _("Learnt parameters"),
    "stages": _("By stage"),
    "out_of_scope": _("Foreign questions by language"),
    "by_history": _("By what is known of the customer"),
    "rows_read": _("What was read"),
    "lift": _("By tenths of customers"),
    "drivers": _("What moves the probability most"),
    "fairness": _("If the likeliest fifth were picked"),
    "fairness_gaps": _("Fairness between groups"),
    "states": _("Hidden states"),
    "state_moves": _("From state to state within a month"),
    "stage_flow": _("From stage to stage within a month"),
    "contact_effect": _("What a message changes"),
    "arrows": _("What depends on what"),
    "purchase_by_value": _("Chance of a purchase by what is known"),
    "words": _("Words that move the probability most"),
    "deciles": _("By tenths of the prediction"),
}

CELLS: Words = {
    "one_product": _("one product"),
    "two_to_four_products": _("two to four products"),
    "five_to_nineteen_products": _("five to nineteen products"),
    "twenty_products_or_more": _("twenty products or more"),
    "customers": _("customers"),
    "products": _("products"),
    "orders": _("orders"),
    "order_lines": _("order lines"),
    "clicks": _("clicked recommendations"),
    "dismissals": _("dismissed recommendations"),
    "held_out_customers": _("customers whose next order was held out"),
    "prospect": _("prospect"),
    "new": _("new"),
    "growing": _("growing"),
    "loyal": _("loyal"),
    "at_risk": _("at risk"),
    "lapsed": _("lapsed"),
    "reactivated": _("reactivated"),
    "positive": _("positive"),
    "negative": _("negative"),
    "en": _("English"),
    "zh": _("Chinese"),
    "zh-hans": _("Chinese"),
    "kind": _("method"),
    "unit_days": _("days per unit of time"),
    "penalty": _("penalty"),
    "mean": _("mean"),
    "median_gap_days": _("usual days between orders"),
    "spread_between_customers": _("spread between customers"),
    "spread_within_customers": _("spread within a customer"),
    "loyal_orders": _("orders that make a loyal customer"),
    "gaps_seen": _("gaps between orders seen"),
    "log_likelihood": _("log-likelihood"),
    "more_raises": _("raises it"),
    "more_lowers": _("lowers it"),
    "depends": _("depends"),
    "under_90_days": _("known under 90 days"),
    "90_days_to_a_year": _("known 90 days to a year"),
    "over_a_year": _("known over a year"),
    "no_order": _("no order"),
    "one_order": _("one order"),
    "two_to_four_orders": _("two to four orders"),
    "five_orders_or_more": _("five orders or more"),
    "no_visits_known": _("no visits known"),
    "seen_this_month": _("seen this month"),
    "not_seen_this_month": _("not seen this month"),
    "female": _("women"),
    "male": _("men"),
    "under_30": _("under 30"),
    "30_to_49": _("30 to 49"),
    "50_and_over": _("50 and over"),
    "gender": _("gender"),
    "age": _("age"),
    "language": _("language"),
    "country": _("country"),
    "device": _("device"),
    "phone": _("phone"),
    "tablet": _("tablet"),
    "computer": _("computer"),
    "gone": _("gone"),
    "asleep": _("asleep"),
    "active": _("active"),
    "occasional": _("occasional"),
    "regular": _("regular"),
    "frequent": _("frequent"),
    "heavy": _("heavy"),
    "held_out": _("held out by lot"),
    "not_written_to": _("not written to"),
    "buys": _("buys from the category"),
    "browsed": _("browsing in the category, 30 days"),
    "bought_same": _("earlier purchases in the category"),
    "bought_near": _("purchases beside the category"),
    "last_order": _("last order"),
    "visits": _("days with a visit, 30 days"),
    "discounts": _("orders with a discount"),
    "price_band": _("price against what they usually pay"),
    "demand": _("how the category sells"),
    "age_band": _("age"),
    "never": _("never"),
    "viewed": _("looked at"),
    "added": _("put into the cart"),
    "once": _("once"),
    "repeatedly": _("repeatedly"),
    "no": _("no"),
    "yes": _("yes"),
    "month": _("within a month"),
    "quarter": _("within a quarter"),
    "year": _("within a year"),
    "longer": _("longer ago"),
    "none": _("none"),
    "some": _("one or two"),
    "many": _("three or more"),
    "sometimes": _("sometimes"),
    "often": _("often"),
    "cheaper": _("cheaper"),
    "usual": _("as usual"),
    "dearer": _("dearer"),
    "low": _("little"),
    "middle": _("middling"),
    "high": _("much"),
    "30_44": _("30 to 44"),
    "45_59": _("45 to 59"),
    "60_up": _("60 and over"),
    "other": _("other"),
    "order_days": _("days of orders"),
    "order_amounts": _("amounts of orders"),
    "messages": _("messages sent to them"),
    "words_alone": _("words alone"),
    "words_and_stars": _("words and stars"),
    "review_words": _("words of the review"),
    "review_stars": _("stars of the review"),
    "reviewed_before": _("reviewed before"),
    "first_review": _("first review"),
    "low_stars": _("one or two stars"),
    "high_stars": _("four or five stars"),
}

NAMES: Words = {
    "popularity": _("what is popular"),
    "cooccurrence": _("bought together"),
    "bg_nbd": _("orders and dropout (BG/NBD)"),
    "pareto_nbd": _("orders and dropout (Pareto/NBD)"),
    "nbd": _("orders without dropout (NBD)"),
    "empirical_rate": _("order rates drawn towards the shop's"),
    "gamma_gamma": _("amounts (gamma-gamma)"),
    "shrunken_mean": _("amounts drawn towards the shop's"),
    "base rate": _("the shop's average"),
    "simple logistic": _("logistic curve on straight lines"),
    "spline logistic": _("logistic curve on splines"),
    "boosted trees": _("boosted trees"),
    "blend": _("splines and boosted trees together"),
    "exemplar": _("nearest examples"),
    "linear": _("linear head"),
    "ngrams": _("n-grams"),
    "convolution": _("convolution"),
    "finetuned": _("fine-tuned encoder"),
    "upper layers": _("upper layers of the encoder"),
    "tone": _("words of praise and blame"),
    "calibrated": _("calibrated"),
    "out-of-scope gate": _("out-of-scope gate"),
}


def figure(code: str) -> str:
    """Return what a figure is called."""
    return _word(FIGURES, code)


def column(code: str) -> str:
    """Return the heading of a report table's column."""
    return _word(COLUMNS, code) if code in COLUMNS else _word(FIGURES, code)


def table(code: str) -> str:
    """Return the heading of a report table."""
    return _word(TABLES, code)


def cell(text: str) -> str:
    """Return a text cell of a report table; labels nobody listed stay as they are."""
    word = str(CELLS.get(text) or NAMES.get(text) or sentence(text))
    # A country's name begins large; the words of a review or a code of two letters are none.
    return countries.named(word) if word == text and len(text) > 3 and text[0].isupper() else word


def name(code: str) -> str:
    """Return what an algorithm or baseline is called, whether stored as a code or in words."""
    parts = [part for piece in code.split(", ") for part in piece.split(" + ")]
    if all(part in NAMES for part in parts):
        return gettext(", ").join(" + ".join(str(NAMES[part]) for part in piece.split(" + ")) for piece in code.split(", "))
    return sentence(code)


def _word(words: Words, code: str) -> str:
    return str(words[code]) if code in words else code.replace("_", " ")
