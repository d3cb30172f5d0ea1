"""Acts that take effect in the past: one person may go back three days, and further only with a second person.

Documents sealed since that time no longer pass, so a single person with one key could invalidate years of a
department's documents. Freezing a seal, or reporting it lost from now on, still needs only one person and takes effect
at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from trust.model.actor import Actor
from trust.model.errors import NotPermitted
from trust.model.people import is_same_person

BY_ONE_PERSON: Final = timedelta(hours=72)


def check_reaching_back(since: datetime | None, at: datetime, by: Actor, approved_by: str | None) -> None:
    """Raises `NotPermitted` (NEEDS_SECOND_PERSON) if the act of `by` needs another person's approval.

    `since` None: the act reaches back to the beginning.
    """
    reaches_far = since is None or at - since > BY_ONE_PERSON
    is_approved = (
        approved_by is not None and bool(approved_by.strip()) and not is_same_person(by.account, approved_by)
    )
    if reaches_far and not is_approved:
        raise NotPermitted(
            "What reaches back more than three days needs a second person.",
            "Freeze the seal or report it lost from now on, which holds at once, and name at the command line who acts "
            "and who approves: --by A --approved-by B.",
            code="NEEDS_SECOND_PERSON",
            zh="追溯超过三天的操作须有第二人批准。可先冻结或从现在起挂失（立即生效），再在命令行写明经办人和批准人："
            "--by 甲 --approved-by 乙。",
        )
