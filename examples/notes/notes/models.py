from django.db import models


class Note(models.Model):
    title = models.CharField(max_length=80)
    text = models.TextField(blank=True)
    file = models.FileField(upload_to="notes/%Y/", blank=True)
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-written"]

    def __str__(self):
        return self.title
