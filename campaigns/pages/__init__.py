"""All reads of the campaign pages; each function returns everything its template prints."""

from campaigns.pages.editor import audience_panel, editor_page, suggestions
from campaigns.pages.finding import find, segment_choices, segment_panel
from campaigns.pages.overview import campaign_list, recipes
from campaigns.pages.preview import PreviewPanel, preview_panel
from campaigns.pages.recipients import customer_panel, recipient_page, recipients_page
from campaigns.pages.report import report_page

__all__ = [
    "PreviewPanel",
    "audience_panel",
    "campaign_list",
    "customer_panel",
    "editor_page",
    "find",
    "preview_panel",
    "recipes",
    "recipient_page",
    "recipients_page",
    "report_page",
    "segment_choices",
    "segment_panel",
    "suggestions",
]
