"""Everything this app contributes to the shared registries, in one visible list."""

from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from crm.core import panels
from crm.core.learning import registry
from crm.core.registries import SearchSource, TimelineSource, feature_sources, mood_sources, search_sources, timeline_sources


def register() -> None:
    """Fill the registries; called once from the app's ready()."""
    from support import contributions, features, intents
    from support.ml import training

    panels.register(slot="customer.side", title=_("Conversations"), url_name="support:customer-panel", order=30, permission="support.view")
    feature_sources["support"] = features.SOURCE
    timeline_sources["support"] = TimelineSource("support", _("Conversations"), contributions.timeline)
    mood_sources["chats"] = contributions.mood
    search_sources["conversations"] = SearchSource("conversations", "support.view", find_for=contributions.conversations_found)
    search_sources["tickets"] = SearchSource("tickets", "support.view", find_for=contributions.tickets_found)
    registry.register(
        registry.TrainingTask(
            name="intents",
            title=_("What visitors ask"),
            purpose=_("Names the intent of each chat message, and refuses messages that fit none."),
            run=training.run,
            main_metric="accuracy",
            word=lambda code: intents.name(code, get_language() or "en"),
            weight=100,
        )
    )
