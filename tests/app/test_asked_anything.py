"""The API asked whatever its description allows and does not: no 5xx, and nothing that the description does not say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.responses import JSONResponse
from schemathesis.core.result import Ok
from support.asked_anything import Questions, seeds_of
from support.world import world_in

from issuer.http import types
from trust.app.site import create_app
from trust.sandbox.workers import Sandbox
from trust.web.description import operations


@pytest.fixture
def questions(template_folder: Path, tmp_path: Path, sandbox: Sandbox) -> Iterator[Questions]:
    world = world_in(template_folder, tmp_path / "data", sandbox)
    try:
        yield Questions(create_app(world.site), seeds_of(world))
    finally:
        world.close()


def check_answers(questions: Questions, at_least: int) -> None:
    assert not questions.wrong, "\n".join(dict.fromkeys(questions.wrong))
    assert questions.asked >= at_least
    asked = {label for label, _ in questions.answered}
    assert len(asked) == len(list(operations(questions.schema.raw_schema)))
    reached = {label for label, status in questions.answered if status < 300}
    # The seeds lead somewhere: most operations were carried out, and not refused only.
    assert {"POST /api/v1/certificates", "POST /api/v1/verifications"} <= reached
    assert len(reached) > len(asked) * 2 // 3, sorted(asked - reached)


def test_a_few_questions_to_every_route(questions: Questions) -> None:
    questions.ask_everything(6)
    check_answers(questions, 200)


@pytest.mark.long
def test_many_questions_to_every_route(questions: Questions) -> None:
    seed = random.randrange(1 << 32)
    questions.ask_everything(300, seed=seed)
    print(f"{questions.asked} questions with the seed {seed}")
    check_answers(questions, 5_000)


def test_a_key_with_all_other_scopes_is_refused(questions: Questions) -> None:
    questions.lacks_scopes = True
    questions.ask_everything(4)
    assert not questions.wrong, "\n".join(dict.fromkeys(questions.wrong))
    done = {label for label, status in questions.answered if status < 300}
    secured = {
        found.ok().label
        for found in questions.schema.get_all_operations()
        if isinstance(found, Ok) and {"apiKey"} & {*found.ok().definition.raw.get("security", [{}])[0]}
    }
    anybody = {"POST /api/v1/verifications", "POST /api/v1/presentations/redeem"}
    assert len(secured) > 25
    assert done & secured <= anybody
    assert {label for label, status in questions.answered if status == 403} >= secured - anybody


def test_what_the_description_does_not_say_is_seen(
    questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    page: dict[str, object] = {"items": [], "next_cursor": None}
    questions.schema = questions.schema.include(path="/api/v1/types")
    for wrong in (JSONResponse(page, 500), JSONResponse(page, 202), JSONResponse({**page, "total": 0})):
        monkeypatch.setattr(types, "page_answer", lambda *given, answer=wrong: answer)
        questions.wrong.clear()
        questions.ask_everything(4)
        assert len(questions.wrong) >= 2, questions.answered
