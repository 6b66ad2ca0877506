"""Bayesian networks over discrete variables: given or learned, exact answers, and what each known value changed.

    model       variables, parents and tables, checked
    given       a network written down as JSON, in the forms people use
    inference   variable elimination for many rows of evidence at once; any cell may be unknown
    learning    structure by hill climbing on BIC, tables with Dirichlet smoothing, unknown cells by EM
    influence   log-odds of each known value, adding up exactly

Sources: Pearl (1988), Probabilistic Reasoning in Intelligent Systems; Koller & Friedman (2009), Probabilistic Graphical
Models; Dechter (1999), bucket elimination; Friedman (1998), structural EM.  Pure numpy: no Django, no database.
"""
