import json

from django import forms
from django.conf import settings
from django.db import transaction
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from .models import Member

PRESENT = {"Room.CallbackAfterMemberEnter": True, "Room.CallbackAfterMemberLeave": False}


class AccountList(forms.JSONField):
    def to_python(self, value):
        if not isinstance(value, list) or not all(isinstance(account, str) for account in value):
            raise forms.ValidationError("a list of accounts is needed")
        return value


class ChangeForm(forms.Form):
    RoomId = forms.CharField(strip=False, max_length=64)
    MemberList_Account = AccountList()
    EventTime = forms.IntegerField(min_value=0, max_value=2**53)


def answer(code=0, info="", status=200):
    return JsonResponse({"ActionStatus": "FAIL" if code else "OK", "ErrorInfo": info, "ErrorCode": code}, status=status)


@csrf_exempt
@require_POST
def callback(request):
    if request.GET.getlist("SdkAppid") != [settings.SDKAPPID]:
        return answer(403, "unknown SdkAppid", 403)
    try:
        packet = json.loads(request.body)
    except (ValueError, RecursionError):
        return answer(400, "not JSON", 400)
    if not isinstance(packet, dict) or packet.get("CallbackCommand") != request.GET.get("CallbackCommand"):
        return answer(400, "CallbackCommand differs between URL and body", 400)
    if packet["CallbackCommand"] not in PRESENT:
        return answer()
    form = ChangeForm(packet)
    if not form.is_valid():
        return answer(400, "invalid: " + ", ".join(form.errors), 400)
    change, present = form.cleaned_data, PRESENT[packet["CallbackCommand"]]
    with transaction.atomic():
        for account in change["MemberList_Account"]:
            member, created = Member.objects.get_or_create(
                room=change["RoomId"], account=account,
                defaults={"event_time": change["EventTime"], "present": present})
            if not created and change["EventTime"] > member.event_time:
                member.event_time, member.present = change["EventTime"], present
                member.save(update_fields=["event_time", "present"])
    return answer()


@require_GET
def members(request):
    who = Member.objects.filter(room=request.GET["room"], present=True).values_list("account", flat=True)
    return JsonResponse(list(who), safe=False)
