"""The console of ``roomhook serve``: rooms, callbacks and settings of a mock Room backend."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import Route

from roomhook.simulator.console.callbacks_page import CallbacksPage, Explained
from roomhook.simulator.console.contract_page import ContractOptions, ContractPage, ContractRunner
from roomhook.simulator.console.rooms_page import RoomsPage
from roomhook.simulator.console.service_feed import ServiceFeed
from roomhook.simulator.console.settings_page import SettingsPage
from roomhook.simulator.console.site import Site
from roomhook.simulator.protocol.callback_request import masked_url
from roomhook.simulator.room_backend.runtime.service import Service

__all__ = ["ServiceConsole"]


class ServiceConsole:
    """The pages of *service*.

    *explain* puts requirement ids into words, *runner* runs the contract suite, *auth* is the token of the login page,
    *probe* fills the form of a contract run.
    """

    def __init__(
        self,
        service: Service,
        explain: Callable[[str], Explained],
        runner: ContractRunner,
        auth: str | None = None,
        probe: str = "",
    ) -> None:
        self._service = service
        self._probe = probe
        navigation = {"/console": "Rooms", "/console/callbacks": "Callbacks", "/console/settings": "Settings"}
        navigation["/console/run"] = "Contract run"
        self._site = Site(navigation, auth)
        self._feed = ServiceFeed(service)
        self._rooms = RoomsPage(self._site, service, self._feed.touch_rooms)
        self._settings = SettingsPage(self._site, service, self._feed, explain)
        self._contract = ContractPage(
            self._site,
            runner,
            suggested=self._suggested,
            check_url=service.state.rooms.check_callback_url,
            changed=self._feed.touch,
        )
        self._callbacks = CallbacksPage(self._site, self._feed, explain, title="Callbacks", received=False)

    def _suggested(self) -> ContractOptions:
        """A run against the callback URL of the first app, unless there is a secret in it."""
        sdkappid = next(iter(self._service.apps))
        config = self._service.state.rooms.configs.get(sdkappid)
        url = "" if config is None or masked_url(config.url) != config.url else config.url
        return ContractOptions(url, sdkappid, self._probe)

    def routes(self) -> list[Route]:
        """All pages."""
        pages = (self._site, self._rooms, self._callbacks, self._settings, self._contract)
        return [route for page in pages for route in page.routes()]

    def play_evening(self, rate: float, rooms: int, speed: float) -> None:
        """Simulate an evening at *speed* times real time, with *rate* actions/s in its busiest hour."""
        self._rooms.play_evening(rate, rooms, speed)

    def close(self) -> None:
        """End streams and simulated people."""
        self._rooms.close()
        self._feed.close()
