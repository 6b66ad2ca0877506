"""Addresses of the inbox."""

from django.urls import path

from support import views

app_name = "support"
urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("unread/", views.unread, name="unread"),
    path("tickets/", views.ticket_list, name="tickets"),
    path("tickets/<int:ticket_id>/", views.change_ticket, name="ticket"),
    path("customers/<int:customer_id>/", views.customer_panel, name="customer-panel"),
    path("<int:pk>/", views.inbox, name="conversation"),
    path("<int:pk>/news/", views.news, name="news"),
    path("<int:pk>/reply/", views.reply, name="reply"),
    path("<int:pk>/assign/", views.assign, name="assign"),
    path("<int:pk>/close/", views.close, name="close"),
    path("<int:pk>/reopen/", views.reopen, name="reopen"),
    path("<int:pk>/snooze/", views.snooze, name="snooze"),
    path("<int:pk>/ticket/", views.open_ticket, name="open-ticket"),
    path("<int:pk>/messages/<int:message_id>/label/", views.label, name="label"),
]
