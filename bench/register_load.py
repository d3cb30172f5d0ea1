"""`python -m bench.register_load`: whether the register stays as fast as it grows. CPU of one process, on SQLite.

    seals       10, 2,000 and 10,000 made seals: a licence issued in batches of 32, the trust list as it is fetched, and
                once after a change (made, signed and stored anew)
    look-ups    10³, 10⁵ and 10⁶ e-certificates: by public id, by number, by digest of the file, a holder's page

Rows beside those that are used are copies of real ones, put there with one statement. Writes bench/out/register.json.
Some three minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.service import opened
from issuer.ecertificates.sql import ECertificateRow, HolderRow
from issuer.seals.sql import SealRow
from trust.app import samples
from trust.app.compose import Site
from trust.encoding.digests import sha256
from trust.model.actor import OPERATOR
from trust.model.ecertificate import Application
from trust.storage import tables
from trust.storage.tables import table_of

OUT = Path(__file__).parent / "out"
SEALS, ECERTIFICATES = (10, 2_000, 10_000), (1_000, 100_000, 1_000_000)
_AUTHORITY, _SEAL = "chuncheng-market", "chuncheng-market-sm2"
_OTHER = "yunling-transport"
_FOOD = {
    "holder_name": "春城百味餐饮管理有限公司",
    "holder_code": "91990101MA6K1001XL",
    "legal_representative": "阿依古丽·买买提",
    "domicile": "云岭省春城市滇水区示例路11号1幢101室",
    "premises": "云岭省春城市滇水区示例路11号1幢101室",
    "business_form": "餐饮服务经营者",
    "business_items": "热食类食品制售；冷食类食品制售",
}


def issue(site: Site, first: int, count: int) -> list[bytes]:
    """Public ids of `count` licences, numbered from `first` on."""
    today = site.clock.now().date().replace(day=1).isoformat()
    applications = [
        Application(
            "FOOD",
            _AUTHORITY,
            {**_FOOD, "licence_number": f"JY2990101{number:07d}", "valid_from": today, "issued_on": today},
            _SEAL,
            row=number,
        )
        for number in range(first, first + count)
    ]
    outcomes = site.issuer.issuing.issue(OPERATOR, applications)
    return [each.issued.pid for each in outcomes if each.issued is not None]


def add_seals(site: Site, wanted: int) -> None:
    """Copies of a made seal, as another authority's, until there are so many; recorded like any change."""
    table = table_of(SealRow)
    with site.stores.register.write() as connection:
        there = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        row = tables.stored_row(connection, SealRow, id=_SEAL)
        for number in range(there, wanted):
            copy = SealRow(**{**row.model_dump(), "id": f"copy-{number}", "authority_id": _OTHER})
            tables.insert(connection, copy)


def add_ecertificates(site: Site, wanted: int, holder: bytes) -> None:
    """Copies of an issued row under other ids and numbers, with a holder of their own each."""
    table, holders = table_of(ECertificateRow), table_of(HolderRow)
    names = [column.name for column in table.columns]
    changed = {
        "id": "e.id + n.n",
        "pid": "randomblob(16)",
        "identifier": "'copy-' || (e.id + n.n)",
        "request_key": "'copy-' || (e.id + n.n)",
        "number": "'COPY' || (e.id + n.n)",
        "issued_sha256": "randomblob(32)",
        "operation_id": "e.operation_id",
    }
    with site.stores.register.write() as connection:
        there = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        if there >= wanted:
            return
        last = connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()
        columns = ", ".join(changed.get(name, f"e.{name}") for name in names)
        connection.execute(
            sa.text(
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :count) "
                f"INSERT INTO ecertificate ({', '.join(names)}) "
                f"SELECT {columns} FROM n, (SELECT * FROM ecertificate WHERE id = :last) e"
            ),
            {"count": wanted - there, "last": last},
        )
        connection.execute(
            sa.insert(holders).from_select(
                ["holder_ref", "ecertificate_id"],
                sa.select(sa.func.randomblob(32), table.c.id).where(table.c.id > last),
            )
        )


def cpu_ms(work: Callable[[], object], times: int) -> float:
    """Milliseconds of CPU of one call; the least of three rounds."""
    work()
    rounds = []
    for _ in range(3):
        begin = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - begin) / times * 1000)
    return round(min(rounds), 3)


def with_seals(site: Site) -> list[dict[str, Any]]:
    found, number = [], 1
    (other,) = (
        each.authority
        for each in samples.read_authorities(samples.find_samples())
        if each.authority.authority_id == _OTHER
    )
    site.issuer.authorities.add(OPERATOR, other)
    for count in SEALS:
        add_seals(site, count)
        begin = time.process_time()
        site.issuer.publishing.trust_list(site.clock.now())
        anew = (time.process_time() - begin) * 1000
        issue(site, number, 32)
        number += 32
        rounds = []
        for _ in range(4):
            begin = time.process_time()
            issue(site, number, 32)
            rounds.append((time.process_time() - begin) / 32 * 1000)
            number += 32
        fetched = cpu_ms(lambda: site.issuer.publishing.trust_list(site.clock.now()), 50)
        found.append(
            {
                "seals": count,
                "licence_ms": round(min(rounds), 2),
                "list_fetched_ms": fetched,
                "list_made_anew_ms": round(anew, 1),
            }
        )
    return found


def with_ecertificates(site: Site) -> list[dict[str, Any]]:
    (pid,) = issue(site, 900_001, 1)
    issued = site.issuer.issuing.issued(pid=pid)
    digest = sha256(site.issuer.issuing.issued_file(pid))
    (holder, *_) = site.issuer.issuing.holders_of(pid)
    found = []
    for count in ECERTIFICATES:
        add_ecertificates(site, count, holder)
        found.append(
            {
                "ecertificates": count,
                "by_pid_ms": cpu_ms(partial(site.issuer.issuing.issued, pid=pid), 100),
                "by_number_ms": cpu_ms(partial(site.issuer.issuing.named, issued.number), 100),
                "by_digest_ms": cpu_ms(partial(site.issuer.issuing.pid_of_file, digest), 100),
                "holders_page_ms": cpu_ms(partial(site.issuer.issuing.of_holder, holder, limit=20), 20),
            }
        )
    return found


def main() -> None:
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="yz-bench-") as folder, opened(Path(folder)) as made:
        result = {"seals": with_seals(made.site), "ecertificates": with_ecertificates(made.site)}
    (OUT / "register.json").write_text(json.dumps(result, indent=1) + "\n")
    json.dump(result, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
