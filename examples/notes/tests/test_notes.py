import tempfile

from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase, override_settings

from notes.models import Note

PLAIN = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


@override_settings(STORAGES=PLAIN)
class Notes(TestCase):
    def test_a_new_notebook_has_a_note(self):
        self.assertContains(self.client.get("/"), "Welcome")

    def test_only_users_write(self):
        self.assertRedirects(self.client.get("/write/"), "/accounts/login/?next=/write/")

    def test_a_note_with_a_file(self):
        self.client.force_login(User.objects.create_user("ann"))
        file = SimpleUploadedFile("list.txt", b"milk")
        with tempfile.TemporaryDirectory() as folder, override_settings(MEDIA_ROOT=folder):
            self.client.post("/write/", {"title": "Shopping", "text": "today", "file": file})
            self.assertEqual(Note.objects.get(title="Shopping").file.read(), b"milk")
        self.assertContains(self.client.get("/"), "Shopping")
