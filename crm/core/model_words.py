"""Words for the codes in model reports: figures, tables, columns, algorithms, baselines.

Training code stores codes; people read these. A code without a word here is shown with its underscores as spaces.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FIGURES: dict[str, str | Promise] = {
    "hit_rate_10": _("Next purchase within the first 10"),
    "hit_rate": _("Next purchase within the first 10"),
    "hr_10": _("Next purchase within the first 10"),
    "ndcg_10": _("Ranking quality of the first 10 (NDCG)"),
    "ndcg": _("Ranking quality of the first 10 (NDCG)"),
    "recall_10": _("Share of the next order within the first 10"),
    "coverage": _("Share of the catalogue recommended to someone"),
    "accuracy": _("Right answers"),
    "macro_f1": _("F1, every class counting the same"),
    "mcc": _("Matthews correlation"),
    "auroc": _("Ranking of sure over unsure (AUROC)"),
    "auc": _("Ranking of yes over no (AUC)"),
    "ece": _("Calibration error"),
    "log_loss": _("Log loss"),
    "brier": _("Brier score"),
    "mae": _("Mean absolute error"),
    "mae_orders": _("Mean error in orders"),
    "mae_value": _("Mean error in value"),
    "rmse": _("Root mean squared error"),
    "correlation": _("Correlation with what happened"),
    "spearman": _("Rank correlation with what happened"),
    "gini": _("Normalised Gini of value"),
    "top_decile_share": _("Share of spend in the predicted top tenth"),
    "bias": _("Forecast against what happened"),
    "coverage_95": _("Outcomes within their 95% interval"),
    "oos_recall": _("Foreign questions recognised"),
    "oos_precision": _("Of those handed over, rightly so"),
    "in_scope_accuracy": _("Right intent among the shop's questions"),
    "coverage_in_scope": _("Shop questions answered without a person"),
    "ms_per_text": _("Milliseconds per text"),
    "log_likelihood": _("Log-likelihood per customer"),
    "bic": _("Bayesian information criterion"),
    "states": _("Number of states"),
}

COLUMNS: dict[str, str | Promise] = {
    "class": _("Class"),
    "precision": _("Precision"),
    "recall": _("Recall"),
    "f1": _("F1"),
    "rows": _("Rows"),
    "truth": _("Truth"),
    "predicted": _("Predicted"),
    "slice": _("Group"),
    "group": _("Group"),
    "value": _("Value"),
    "baseline": _("Baseline"),
    "model": _("Model"),
    "parameter": _("Parameter"),
    "name": _("Name"),
    "customers": _("Customers"),
    "orders": _("Orders"),
    "low": _("From"),
    "high": _("To"),
    "language": _("Language"),
    "candidate": _("Candidate"),
    "hit_rate_10": _("Hits in 10"),
    "ndcg_10": _("NDCG in 10"),
    "reason": _("Why"),
    "state": _("State"),
    "decile": _("Tenth"),
    "month": _("Month"),
    "observed": _("Observed"),
    "expected": _("Expected"),
}

TABLES: dict[str, str | Promise] = {
    "classes": _("By class"),
    "confusions": _("Commonest mistakes"),
    "slices": _("By group of customers"),
    "candidates": _("Methods tried"),
    "parameters": _("Learnt parameters"),
    "languages": _("By language"),
    "sources": _("Where the examples came from"),
    "deciles": _("Predicted tenths against what happened"),
    "transitions": _("Movement between states"),
    "feedback": _("Feedback read"),
}

NAMES: dict[str, str | Promise] = {
    "popularity": _("what is popular"),
    "cooccurrence": _("bought together"),
    "majority": _("always the commonest answer"),
    "mean": _("everybody's average"),
    "last_period": _("the same as last period"),
    "rfm": _("RFM groups"),
    "lexicon": _("a list of good and bad words"),
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


def name(code: str) -> str:
    """Return what an algorithm or baseline is called."""
    return _word(NAMES, code)


def _word(words: dict[str, str | Promise], code: str) -> str:
    return str(words[code]) if code in words else code.replace("_", " ")
