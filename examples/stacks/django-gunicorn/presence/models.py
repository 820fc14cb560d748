from django.db import models


class Member(models.Model):
    room = models.CharField(max_length=64)
    account = models.CharField(max_length=64)
    event_time = models.BigIntegerField()
    present = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["room", "account"], name="one_row_per_member")]
