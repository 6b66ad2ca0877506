"""A hidden Markov model of how often customers order, batched over all customers.

    panel       order counts per period, equal life stories stored once
    emissions   how many orders a state brings in a period: Poisson, negative binomial, zero-inflated Poisson
    recursions  forward and backward passes over all stories at once
    fitting     expectation maximisation with restarts; number of states and family by BIC
    model       the fitted model: state probabilities, orders to come, what each state is called
    stages      the public stages of a life cycle with probabilities: `stage_probabilities`

Sources: Rabiner (1989), Proceedings of the IEEE 77; Netzer, Lattin & Srinivasan (2008), Marketing Science 27.
Pure numpy and SciPy: no Django, no database.
"""
