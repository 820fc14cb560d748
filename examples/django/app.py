"""An App backend for Room.CallbackAfterMemberEnter and ...Leave: Django in one file."""

import hashlib
import hmac
import json
import os
import re
import time

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
TOKEN = os.environ.get("ROOMHOOK_TOKEN") or os.environ.get("TOKEN")
GONE = {"Room.CallbackAfterMemberEnter": False, "Room.CallbackAfterMemberLeave": True}
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": os.environ.get("DATABASE", "rooms.db"),
    "CONN_MAX_AGE": None,  # by default each request connects anew, and each commit waits for the disk
    "OPTIONS": {"init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"},
}
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DATABASES={"default": SQLITE})
django.setup()


class Presence(models.Model):
    room = models.CharField(max_length=48)
    account = models.CharField(max_length=32)
    event_time = models.BigIntegerField()
    gone = models.BooleanField()

    class Meta:
        app_label = "rooms"
        constraints = [models.UniqueConstraint("room", "account", name="one_row_each")]


if Presence._meta.db_table not in connection.introspection.table_names():  # in a project: migrations
    with connection.schema_editor() as editor:
        editor.create_model(Presence)


class Refused(Exception): ...


def check_url(request: HttpRequest) -> None:
    if request.GET.getlist("SdkAppid") != [SDKAPPID]:  # as text and once: int(" 01400000001") would be ours
        raise Refused("SdkAppid is not ours")
    if TOKEN:
        sign, sent = (",".join(request.GET.getlist(name)) for name in ("Sign", "RequestTime"))
        if not re.fullmatch("[0-9]{1,12}", sent) or abs(time.time() - int(sent)) > 60:
            raise Refused("RequestTime is not within a minute of now")
        if not hmac.compare_digest(sign.encode(), hashlib.sha256((TOKEN + sent).encode()).hexdigest().encode()):
            raise Refused("Sign does not match")


def text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    value.encode()  # JSON can hold half a character, "\ud83d", which a database can't: UnicodeEncodeError
    return value


def synchronise(request: HttpRequest) -> None:
    try:
        packet = json.loads(request.body, parse_constant=int)  # json takes NaN, which JSON does not have and int refuses
        command = text(packet["CallbackCommand"])
        if request.GET.getlist("CallbackCommand") != [command]:
            raise Refused("CallbackCommand differs between URL and body")
        if command not in GONE:
            return  # none of our business
        room, accounts, at = text(packet["RoomId"]), packet["MemberList_Account"], packet["EventTime"]
        if not isinstance(accounts, list) or type(at) is not int or not 0 <= at < 2**53:  # a bool is an int, too
            raise TypeError(packet)
        accounts = [text(account) for account in accounts]
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        raise Refused("the body is no packet of this callback") from error
    # The later event wins, and of two in one ms the leave: repeated or out of order, the end is the same.
    gone = GONE[command]
    new = [Presence(room=room, account=account, event_time=at, gone=gone) for account in accounts]
    with transaction.atomic():
        Presence.objects.bulk_create(new, ignore_conflicts=True)
        known = Presence.objects.filter(room=room, account__in=accounts)
        known.filter(**{"event_time__lte" if gone else "event_time__lt": at}).update(event_time=at, gone=gone)


@csrf_exempt  # the Room backend has no CSRF cookie: a project's middleware would answer 403
@require_POST
def on_callback(request: HttpRequest) -> JsonResponse:
    try:
        check_url(request)
        synchronise(request)
    except Refused as error:
        return JsonResponse({"ActionStatus": "FAIL", "ErrorCode": 1, "ErrorInfo": str(error)})
    return JsonResponse({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""})


def members(_: HttpRequest, room: str) -> JsonResponse:
    present = Presence.objects.filter(room=room, gone=False).values_list("account", flat=True)
    return JsonResponse(list(present), safe=False)


urlpatterns = [path("callback", on_callback), path("rooms/<path:room>", members)]
application = get_wsgi_application()
