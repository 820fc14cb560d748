"""Callbacks through an HTTP proxy, as the proxy gets them."""

from __future__ import annotations

import socket
from threading import Thread

from roomhook.contract_tests.transport.client import Client
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome


def test_the_proxy_gets_the_whole_url_and_the_user_of_its_own() -> None:
    heads: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def answer() -> None:
            with proxy.accept()[0] as connection:
                heads.append(connection.recv(65536).decode())
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = Thread(target=answer)
        thread.start()
        client = Client(proxy=f"http://us%40er:pass@127.0.0.1:{proxy.getsockname()[1]}")
        callback = CallbackRequest("http://app.invalid:81/a?b=1", b"{}", ())
        exchange = client.send(callback, deadline_ms=2000, give_up_ms=5000)
        thread.join()
    assert exchange.outcome is DeliveryOutcome.DELIVERED
    assert heads[0].startswith("POST http://app.invalid:81/a?b=1 HTTP/1.1\r\n")
    assert "proxy-authorization: basic dxnazxi6cgfzcw==" in heads[0].lower()
