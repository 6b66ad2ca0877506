"""Whole sentences that training stores in English, in the reader's language: a translation by the sentence with its numbers taken out."""

import re

from django.utils.translation import gettext, gettext_noop

# As stored, numbers replaced in order of appearance; kept here so that translators see them.
SENTENCES = (
    gettext_noop("The orders up to a moment are learnt from; the first order after it of each customer known by then must be found among all products."),
    gettext_noop("Stages named %(n1)s days ago, ranked by how often each stage bought again in the period before; who bought in the %(n2)s days since."),
    gettext_noop("Fitted on the facts up to %(n1)s days ago, judged on the %(n2)s days since; the version that serves is then fitted on everything."),
    gettext_noop("Each review judged by a model that has not seen it."),
    gettext_noop("Each example judged by a model that has not seen it."),
    gettext_noop("No text encoder was available: the model rests on n-grams alone."),
    gettext_noop("%(n1)s of %(n2)s examples are agents' corrections and confirmations."),
    gettext_noop("Against the serving version on the same rows (%(n1)s both judged unseen, %(n2)s new): %(n3)s handled rightly, it %(n4)s."),
    gettext_noop("whoever ordered last orders first"),
    gettext_noop("the same again as in the period before"),
    gettext_noop("always the commoner opinion"),
    gettext_noop("character and word n-grams"),
    gettext_noop("personal order gaps (empirical Bayes)"),
    gettext_noop("hidden Markov model of orders per month"),
    gettext_noop("Bayesian network"),
    gettext_noop("who looked at the category, then what sells best"),
    gettext_noop("States learned on the facts up to %(n1)s days ago; the probability of an order against who bought in the %(n2)s days since."),
    gettext_noop("Learned on who bought what within %(n1)s days, judged on the %(n2)s days after; a row is a customer and a category."),
    gettext_noop("%(n1)s customers and the categories sold before; customers who refuse to be profiled are left out."),
    gettext_noop("The orders span %(n1)s months; %(n2)s are needed to see customers change."),
    gettext_noop("No state of rest could be told from the states that order."),
    gettext_noop("Needs %(n1)s purchases in categories within a month to learn from; there are %(n2)s."),
    gettext_noop("encoder + n-grams"),
    gettext_noop("n-grams"),
    gettext_noop("sentence encoder and n-grams, kernel head, calibrated, out-of-scope gate"),
    gettext_noop("Needs %(n1)s orders of known customers to learn from; there are %(n2)s."),
    gettext_noop("Needs %(n1)s customers who came back to measure on; there are %(n2)s."),
    gettext_noop("Needs %(n1)s examples of %(n2)s intents; there are %(n3)s."),
    gettext_noop("There are no orders yet."),
    gettext_noop("The shop's orders span %(n1)s days; %(n2)s are needed."),
    gettext_noop("%(n1)s customers had ordered before the held-out period; %(n2)s are needed."),
    gettext_noop("There are %(n1)s negative and %(n2)s positive reviews; %(n3)s of each are needed."),
    gettext_noop("days since the last order and number of orders alone"),
    gettext_noop("returns per order and recent orders alone"),
    gettext_noop(
        "Learnt from what was known up to %(n1)s days ago and earlier, and what followed; judged on what followed %(n2)s days ago, which no model had seen. The version that serves is then fitted on everything."
    ),
    gettext_noop("A perfectly calibrated model of these customers would show a calibration error of %(n1)s by chance."),
    gettext_noop("The shop is young: the horizon is %(n1)s days instead of %(n2)s."),
    gettext_noop("Known of the customers measured on: language %(n1)s, country %(n2)s, gender %(n3)s, age %(n4)s, device %(n5)s."),
    gettext_noop("Gender and age are not used by the model; they are read only to measure fairness."),
    gettext_noop("There is one period of orders only; one to learn from and one to judge on are needed."),
    gettext_noop("the stars alone"),
    gettext_noop("words, logistic"),
    gettext_noop("words and stars, logistic"),
    gettext_noop(
        "Learnt from %(n1)s reviews whose %(n2)s days were over before the first of %(n3)s later ones was written; judged on those. What counts is another order within %(n4)s days of the review."
    ),
    gettext_noop("Most of what decides the next order is not in a review; read the probability as a hint, not as a promise."),
    gettext_noop("The words tell nothing beyond chance here: ranking %(n1)s, interval %(n2)s to %(n3)s."),
    gettext_noop("There are no reviews whose writer is known long enough."),
    gettext_noop("Of %(n1)s reviews whose writer is known long enough, %(n2)s have the rarer outcome; %(n3)s and %(n4)s are needed."),
    gettext_noop("Of %(n1)s reviews to judge on, %(n2)s have the rarer outcome; %(n3)s and %(n4)s are needed."),
    gettext_noop("The reviews span %(n1)s days; %(n2)s are needed."),
    gettext_noop("Season not learned: there are no repeat orders."),
    gettext_noop("Season not learned: the orders span %(n1)s days, %(n2)s whole years are needed."),
    gettext_noop("Season not learned: the orders span fewer than %(n1)s whole calendar years."),
    gettext_noop("Ranking of value not refined: %(n1)s customers, %(n2)s are needed."),
    gettext_noop("Ranking of value not refined: the past is too short to judge it on."),
    gettext_noop("Ranking of value not refined: what recent behaviour adds did not show in the past."),
    gettext_noop("every row has the same value"),
    gettext_noop("Of %(n1)s customers asked about, %(n2)s did the rarer thing; %(n3)s and %(n4)s are needed."),
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]\d+)?%?")


def sentence(text: str) -> str:
    """Return a stored English sentence in the reader's language, its numbers kept; unchanged where no translation exists."""
    numbers = _NUMBER.findall(text)
    places = iter(range(1, len(numbers) + 1))
    template = _NUMBER.sub(lambda _found: f"%(n{next(places)})s", text)
    if template not in SENTENCES:
        return text
    return gettext(template) % {f"n{place}": number for place, number in enumerate(numbers, start=1)}
