"""Recommendations: lists computed by the model, and what people did with them."""

from recommendations.models.lists import CustomerRecommendation, ProductRecommendation
from recommendations.models.feedback import RecommendationFeedback
from recommendations.models.rules import RecommendationRule

__all__ = ["CustomerRecommendation", "ProductRecommendation", "RecommendationFeedback", "RecommendationRule"]
