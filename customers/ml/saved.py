"""The customer models as the model store keeps them; each function is given to modelstore.build."""

import numpy as np

from crm.core.learning.modelstore import LoadedModel
from customers.ml.hmm.stages import StageModel
from customers.ml.intention import PurchaseIntention
from customers.ml.lifecycle import Lifecycle
from customers.ml.network.inference import posterior
from customers.ml.network.model import UNKNOWN, Network
from customers.ml.purchase import BUYS, Categories, PurchaseModel
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


def intention_model(loaded: LoadedModel) -> PurchaseIntention:
    return PurchaseIntention.from_tensors(loaded.tensors, loaded.config)


def purchase_model(loaded: LoadedModel) -> PurchaseModel:
    """The network of who buys what, with the categories as they sold when it learned."""
    network, sold = Network.from_config(loaded.config["network"]), loaded.config["categories"]
    nothing = np.full((1, len(network.names)), UNKNOWN)
    return PurchaseModel(
        network=network,
        categories=Categories(
            id=np.array(sold["id"], dtype=np.int64),
            parent=np.array(sold["parent"], dtype=np.int64),
            price=np.array([np.nan if price is None else price for price in sold["price"]], dtype=float),
            demand=np.array(sold["demand"], dtype=np.int64),
        ),
        sensitive=bool(loaded.config["sensitive"]),
        version=loaded.version.version,
        base=float(posterior(network, BUYS, nothing)[0][0, 1]),
    )
