"""The customer models as the model store keeps them; each function is given to modelstore.build."""

from crm.core.learning.modelstore import LoadedModel
from customers.ml.hmm.stages import StageModel
from customers.ml.lifecycle import Lifecycle
from customers.ml.reviews import ReviewSentiment
from customers.ml.value import ValueModel


def value_model(loaded: LoadedModel) -> ValueModel:
    return ValueModel.from_config(loaded.config["model"])


def lifecycle_model(loaded: LoadedModel) -> Lifecycle:
    return Lifecycle.from_config(loaded.config["model"])


def stage_model(loaded: LoadedModel) -> StageModel:
    """Gaps and, where they serve, the hidden states; see customers.ml.hmm.stages.stage_probabilities."""
    return StageModel.from_config(lifecycle_model(loaded), loaded.config.get("stages"))


def sentiment_model(loaded: LoadedModel) -> ReviewSentiment:
    return ReviewSentiment.from_tensors(loaded.tensors, loaded.config)
