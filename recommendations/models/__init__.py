"""Recommendations: lists computed by the model, and what people did with them."""

from recommendations.models.feedback import FeedbackKind, RecommendationFeedback
from recommendations.models.lists import CustomerRecommendation, ListState, PopularProduct, ProductRecommendation
from recommendations.models.rules import RecommendationRule, RuleKind

__all__ = [
    "CustomerRecommendation",
    "FeedbackKind",
    "ListState",
    "PopularProduct",
    "ProductRecommendation",
    "RecommendationFeedback",
    "RecommendationRule",
    "RuleKind",
]
