from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Member",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("room", models.CharField(max_length=64)),
                ("account", models.CharField(max_length=64)),
                ("event_time", models.BigIntegerField()),
                ("present", models.BooleanField()),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("room", "account"), name="one_row_per_member")]},
        ),
    ]
