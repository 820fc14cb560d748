"""For ``locust -f loadtests/locustfile.py --host https://app.example/callback``: our users, options and thresholds.

``--engine`` chooses one of the users; naming users on the command line, as in ``locust … FastUser``, wins over it.
"""

from __future__ import annotations

from roomhook.loadtests.fast_user import FastUser
from roomhook.loadtests.users import LeaveCallbackHttpUser, LeaveCallbackUser

__all__ = ["FastUser", "LeaveCallbackHttpUser", "LeaveCallbackUser"]
