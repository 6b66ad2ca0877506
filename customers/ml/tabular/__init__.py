"""Probabilities from any table: encoding, candidates, choice, calibration, exact reasons and fairness. Pure numpy and scikit-learn."""
