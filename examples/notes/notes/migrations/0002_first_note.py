"""Data: the first note of a new notebook."""

from django.db import migrations


def write(apps, schema_editor):
    note = apps.get_model("notes", "Note")
    note.objects.create(title="Welcome", text="Log in to write a note.")


def remove(apps, schema_editor):
    apps.get_model("notes", "Note").objects.filter(title="Welcome").delete()


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.RunPython(write, remove)]
