"""Every sentence of SECURITY.md names a test that proves it: a new one without a proof fails here."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SENTENCES = [
    line.removeprefix("- ")
    for line in (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("- ")
]
HERE, CONSOLE, LISTEN = "docs/test_security.py", "simulator/console/", "simulator/listener/test_listen.py"
LIMITS, SAFETY = "simulator/room_backend/test_serve_limits.py", f"{CONSOLE}test_console_safety.py"
SECRETS = "cli/test_secrets.py"

PROOFS = {
    "Tokens, keys, the values": [
        (SECRETS, "test_no_secret_is_shown_or_written"),
        (SECRETS, "test_no_error_line_repeats"),
    ],
    "They appear in no traceback": [(SECRETS, "test_no_crash_text"), (SECRETS, "test_the_processes_of_a_load_test")],
    "The state of `serve` has": [(SAFETY, "test_a_secret_in_the_callback_url_is_masked_and_kept")],
    "It listens on 127.0.0.1 unless": [(HERE, "test_serve_and_listen_take_loopback"), (LISTEN, "test_it_answers_as")],
    "A `--listen` address": [(HERE, "test_an_address_that_others_reach_needs_a_token")],
    "With `--auth`, every path": [(HERE, "test_the_token_is_demanded_under_every_path_but_v4")],
    "`/v4/` is protected": [(HERE, "test_a_usersig_has_to_be_genuine")],
    "A UserSig of another key": [(HERE, "test_a_usersig_has_to_be_genuine")],
    "A Host that is neither": [(HERE, "test_foreign_pages_are_refused")],
    "An Origin other than": [(HERE, "test_foreign_pages_are_refused")],
    "A body that is not": [(HERE, "test_foreign_pages_are_refused")],
    "A callback URL on another machine": [(HERE, "test_a_callback_url_elsewhere_has_to_be_allowed")],
    "A head above 64 KiB": [
        (LIMITS, "test_a_head_that_ends_beyond_the_limit_is_refused_by_431"),
        (LIMITS, "test_a_body_that_is_too_large_is_refused_by_413"),
        (LIMITS, "test_trailers_without_end_close_the_connection"),
        (LISTEN, "test_a_head_without_end_or_beyond_the_limit_is_refused_by_431"),
        (LISTEN, "test_a_body_that_would_be_too_large_is_refused"),
    ],
    "An offer of another protocol": [(LIMITS, "test_an_offer_of_http2_is_ignored")],
    "Secret keys and tokens appear": [(SECRETS, "test_serve_and_listen_show_no_secret"), (HERE, "rest(")],
    "With `--token`, unsigned": [(LISTEN, "test_signatures_are_checked_when_there_is_a_token")],
    "What arrives can't move": [(HERE, "test_what_arrives_can_not_drive_a_terminal")],
    "`--forward` passes callbacks": [("simulator/listener/test_forward.py", "test_another_machine_has_to_be_allowed")],
    "It is served with `serve`": [
        (f"{CONSOLE}test_console_attacks.py", "test_a_name_that_was_rebound_to_this_machine_is_refused"),
        (f"{CONSOLE}test_listen_console.py", "test_what_arrives_is_judged_saved_and_replayed"),
    ],
    "Its Content-Security-Policy": [(SAFETY, "test_the_policy_allows_nothing_inline")],
    "Everything from outside": [(f"{CONSOLE}test_console_attacks.py", "test_hostile_values_are_text_in_every_part")],
    "A form is refused": [(SAFETY, "test_a_form_needs_our_token_and_our_origin")],
    "With `--auth`, a browser": [(SAFETY, "test_with_a_token_browsers_are_asked_for_it_once")],
    "It never shows the signing token": [(f"{CONSOLE}test_console_attacks.py", "test_no_page_shows_a_secret")],
    "It replays a callback only": [
        (f"{CONSOLE}test_listen_console.py", "test_what_arrives_is_judged_saved_and_replayed")
    ],
}
"""How a sentence begins: the files and the tests that prove it."""


@pytest.mark.parametrize("sentence", SENTENCES, ids=[one[:30] for one in SENTENCES])
def test_a_sentence_has_its_test(sentence: str) -> None:
    (found,) = [proofs for start, proofs in PROOFS.items() if sentence.startswith(start)]
    for file, name in found:
        assert f"def {name}" in (TESTS / file).read_text(encoding="utf-8"), f"{file}: {name} is gone"


def test_no_proof_is_for_a_sentence_that_is_gone() -> None:
    assert not [start for start in PROOFS if not any(one.startswith(start) for one in SENTENCES)]
