"""What a department's system does, with the client that was generated from the description. Run by test_api_clients.py.

    python generated_walk.py ADDRESS API-KEY      with the generated package `made` in the path

Needs nothing of this project: it runs with the libraries of the generator alone. Prints what came of it as JSON.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

FIELDS = {
    "licence_number": "JY29901010007777",
    "holder_name": "春城百味餐饮管理有限公司",
    "holder_code": "91990101MA6K1001XL",
    "legal_representative": "阿依古丽·买买提",
    "domicile": "云岭省春城市滇水区示例路11号1幢101室",
    "premises": "云岭省春城市滇水区示例路11号1幢101室",
    "business_form": "餐饮服务经营者",
    "business_items": "热食类食品制售；冷食类食品制售",
    "valid_from": datetime.now(UTC).date().isoformat(),
    "issued_on": datetime.now(UTC).date().isoformat(),
}


def ask(operation: str, **given: Any) -> Any:
    return import_module(f"made.api.{operation}").sync_detailed(**given)


def main() -> None:
    models = import_module("made.models")
    client = import_module("made.client").AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
    anybody = import_module("made.client").Client(base_url=sys.argv[1])

    def verify() -> Any:
        # Not the file itself: of a body in one of two media types, the generator (0.29.1) makes code that does not run.
        body = models.DigestsBody(digests=[hashlib.sha256(file).hexdigest()])
        return ask("verifier.verify_digests", client=client, body=body).parsed.items[0]

    def revoke(tag: str) -> Any:
        return ask(
            "issuer.revoke_certificate",
            client=client,
            pid=issued.pid,
            body=models.StatusBody.from_dict({"reason": "penalty"}),
            idempotency_key=secrets.token_hex(16),
            if_match=tag,
        )

    issued = ask(
        "issuer.issue_certificate",
        client=client,
        body=models.IssueBody.from_dict({"type": "FOOD", "fields": FIELDS}),
        idempotency_key=secrets.token_hex(16),
    ).parsed
    read = ask("issuer.get_certificate", client=client, pid=issued.pid)
    file = ask("issuer.get_certificate_file", client=client, pid=issued.pid).parsed.payload.read()
    before = verify()
    refused = revoke('"another state"')
    revoked = revoke(read.headers["etag"])
    after = verify()
    without_key = ask("issuer.get_certificate", client=anybody, pid=issued.pid)
    came_of_it = {
        "is_read_back": read.parsed == issued,
        "file": file[:5].decode(),
        "status": [issued.status, revoked.parsed.status],
        "codes": [before.code, after.code],
        "is_of_it": before.pid == issued.pid,
        "refused": [[each.status_code, each.parsed.code] for each in (refused, without_key)],
    }
    print(json.dumps(came_of_it))


if __name__ == "__main__":
    main()
