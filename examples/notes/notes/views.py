from django.contrib.auth.mixins import LoginRequiredMixin
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.views.generic import CreateView, ListView

from notes.models import Note


class Notes(ListView):
    model = Note


class Write(LoginRequiredMixin, CreateView):
    model = Note
    fields = ["title", "text", "file"]
    success_url = reverse_lazy("notes")


def icon(request):
    """Browsers ask for it on pages that name no icon, such as the admin's."""
    return redirect(static("notes/icon.svg"))
