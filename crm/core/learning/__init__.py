"""The learning kernel: judge a model, keep its versions, run its training, describe it to people.

evaluation  splits, figures, intervals, challenger against champion (pure)
modelstore  versions as hashed files plus a row; promote, roll back, load
registry    every training task by name; `manage.py retrain`
reports     what the model page shows
"""
