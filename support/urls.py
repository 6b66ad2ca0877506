"""Addresses of the inbox."""

from django.urls import path

from support import desk_views, ticket_views, views

app_name = "support"
urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("unread/", views.unread, name="unread"),
    path("here/", desk_views.here, name="here"),
    path("availability/", desk_views.availability, name="availability"),
    path("saved/", desk_views.saved_replies, name="saved-replies"),
    path("tickets/", ticket_views.ticket_list, name="tickets"),
    path("tickets/<int:ticket_id>/", ticket_views.ticket, name="ticket"),
    path("tickets/<int:ticket_id>/comment/", ticket_views.comment, name="ticket-comment"),
    path("tickets/<int:ticket_id>/order/", ticket_views.link_order, name="ticket-order"),
    path("tickets/<int:ticket_id>/merge/", ticket_views.merge, name="ticket-merge"),
    path("tickets/<int:ticket_id>/unmerge/", ticket_views.unmerge, name="ticket-unmerge"),
    path("customers/<int:customer_id>/", ticket_views.customer_panel, name="customer-panel"),
    path("<int:pk>/", views.inbox, name="conversation"),
    path("<int:pk>/news/", views.news, name="news"),
    path("<int:pk>/about/", desk_views.about, name="about"),
    path("<int:pk>/present/", desk_views.present, name="present"),
    path("<int:pk>/draft/", desk_views.draft, name="draft"),
    path("<int:pk>/saved/", desk_views.saved, name="saved"),
    path("<int:pk>/tools/", desk_views.tools, name="tools"),
    path("<int:pk>/macro/", desk_views.macro, name="macro"),
    path("<int:pk>/tag/", desk_views.tag, name="tag"),
    path("<int:pk>/priority/", desk_views.priority, name="priority"),
    path("<int:pk>/team/", desk_views.team, name="team"),
    path("<int:pk>/reply/", views.reply, name="reply"),
    path("<int:pk>/assign/", views.assign, name="assign"),
    path("<int:pk>/close/", views.close, name="close"),
    path("<int:pk>/reopen/", views.reopen, name="reopen"),
    path("<int:pk>/snooze/", views.snooze, name="snooze"),
    path("<int:pk>/wake/", views.wake, name="wake"),
    path("<int:pk>/ticket/", views.open_ticket, name="open-ticket"),
    path("<int:pk>/messages/<int:message_id>/label/", views.label, name="label"),
]
