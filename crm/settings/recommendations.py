"""Settings of the recommendation lists: how long they are and what is left out of them."""

from crm.settings import env

# Days after a purchase during which the same product is not recommended to its buyer again; 0 recommends it at once.
CRM_RECOMMEND_REBUY_DAYS = env.integer("CRM_RECOMMEND_REBUY_DAYS", 30, minimum=0, maximum=3650)

# Products kept per customer and per product. More than are ever shown, so that what sells out or is blocked can be left out.
CRM_RECOMMEND_LIST_LENGTH = env.integer("CRM_RECOMMEND_LIST_LENGTH", 24, minimum=5, maximum=200)

# Days within which a purchase counts as the result of a recommendation that was shown or clicked.
CRM_RECOMMEND_CREDIT_DAYS = env.integer("CRM_RECOMMEND_CREDIT_DAYS", 30, minimum=1, maximum=365)

# Orders with a known customer below which no model is trained and the popularity list serves alone.
CRM_RECOMMEND_MIN_ORDERS = env.integer("CRM_RECOMMEND_MIN_ORDERS", 200, minimum=20)
