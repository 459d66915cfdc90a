from django.urls import path

from notes import views

urlpatterns = [
    path("", views.Notes.as_view(), name="notes"),
    path("favicon.ico", views.icon),
    path("write/", views.Write.as_view(), name="write"),
]
