"""`issue`, `stamp`, `replace`, `ledger recheck`: the commands that work on records, and what they print."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from issuer.catalogue import load_profile
from issuer.issuing import BATCH, Outcome
from ledger.recheck import EVERYWHERE, Look, recheck
from trust.app.actions import application_from, outcome_json, stamp_application
from trust.app.cli import console
from trust.app.cli.console import t
from trust.app.compose import Service
from trust.app.records import Record, read_records
from trust.model.ecertificate import Application
from trust.model.errors import Malformed, ProfileViolation, RequestError


def issue_records(
    service: Service,
    type_short: str,
    source: Path | None,
    *,
    authority: str | None,
    seal: str | None,
    also: Sequence[str],
    out: Path | None,
    dry_run: bool,
    resume: bool,
    approval: int | None = None,
    json: bool,
) -> bool:
    """Issues a file of records; True if every row came out."""
    if resume:
        finished = service.issuing.resume_unfinished()
        finished_acts = service.statuses.resume_pending()
        _print_outcomes(service, finished, out, json)
        if not json:
            console.out.print(
                t(
                    f"已继续完成 {len(finished)} 份签发、{finished_acts} 项状态变更。",
                    f"Finished {len(finished)} interrupted issues and {finished_acts} changes of status.",
                )
            )
    if source is None:
        return True
    profile = load_profile(type_short)
    records = read_records(source, profile)
    outcomes: list[Outcome] = []

    def applications_of(records: Sequence[Record]) -> Iterator[Application]:
        for record in records:
            try:
                yield application_from(service, record, profile, authority=authority, seal=seal, also=also)
            except RequestError as exc:
                outcomes.append(Outcome(record.row, None, exc))

    if not dry_run:
        # The whole file is one request, however it is cut into batches.
        service.issuing.check_many(applications_of(records), approval)
        outcomes.clear()
    with console.progress(len(records), t("签发", "issuing"), quiet=json) as advance:
        for start in range(0, len(records), BATCH):
            applications = list(applications_of(records[start : start + BATCH]))
            issue = service.issuing.issue_checked
            outcomes += _check_all(service, applications) if dry_run else issue(applications)
            advance(len(records[start : start + BATCH]))
    outcomes.sort(key=lambda outcome: outcome.row)
    _print_outcomes(service, outcomes, out, json)
    refused = [o for o in outcomes if o.error is not None]
    if not json:
        repeated = sum(o.repeated for o in outcomes)
        issued = len(outcomes) - len(refused) - repeated
        console.out.print(
            t(
                f"签发 {issued} 份，此前已签发 {repeated} 份，退回 {len(refused)} 行。",
                f"{issued} issued, {repeated} were issued before, {len(refused)} rows refused.",
            )
            if not dry_run
            else t(
                f"检查 {len(outcomes)} 行，{len(refused)} 行不符合要求。",
                f"{len(outcomes)} rows checked, {len(refused)} would be refused.",
            )
        )
    return not refused


def stamp_pdf(
    service: Service,
    pdf: Path,
    source: Path,
    out: Path,
    *,
    type_short: str | None,
    seal: str | None,
    also: Sequence[str],
    authority: str | None,
    lose_standard: bool,
    json: bool,
) -> bool:
    """Seals a department's own PDF."""
    try:
        sidecar = json_module.loads(source.read_text(encoding="utf-8-sig"))
        data = pdf.read_bytes()
    except (OSError, ValueError) as exc:
        raise Malformed("The PDF or its data file cannot be read.", "Check both paths and the JSON.") from exc
    application = stamp_application(
        service,
        data,
        sidecar,
        type_short=type_short,
        seal=seal,
        authority=authority,
        also=also,
        lose_standard=lose_standard,
    )
    (outcome,) = service.issuing.issue([application])
    if outcome.issued is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(service.issuing.issued_file(outcome.issued.pid))
    _print_outcomes(service, [outcome], None, json)
    return outcome.error is None


def replace_record(
    service: Service, identifier: str, source: Path, *, reason: str, out: Path | None, json: bool
) -> bool:
    """Issues the next version from a file with exactly one record."""
    old = service.issuing.issued(identifier=identifier)
    profile = load_profile(old.type_short)
    records = read_records(source, profile)
    if len(records) != 1:
        raise Malformed(
            f"{source.name} holds {len(records)} records, not one.", "Give the corrected record alone."
        )
    application = application_from(service, records[0], profile, authority=old.authority_id, seal=None)
    outcome = service.statuses.replace(old.pid, replace(application, replaces=old.pid), reason=reason)
    _print_outcomes(service, [outcome], out, json)
    return outcome.error is None


def recheck_ledger(service: Service, *, json: bool, looks: Sequence[Look] = EVERYWHERE) -> bool:
    """Rows, tiles, lock store and checkpoint against each other."""
    # Each look reads from end to end.
    with console.progress(
        len(looks) * service.log.size, t("检查账本", "checking the ledger"), quiet=json
    ) as advance:
        seen: dict[str, int] = {}

        def on_progress(stage: str, done: int, total: int) -> None:
            advance(done - seen.get(stage, 0))
            seen[stage] = done

        report = recheck(
            service.ledger_database,
            service.ledger_folder,
            service.lock_store,
            log_vkey=service.log.vkey,
            looks=looks,
            on_progress=on_progress,
        )
    if json:
        console.print_json(
            {
                "clean": report.is_clean,
                "stored": report.stored_size,
                "locked": report.locked_size,
                "published": report.published_size,
                "findings": [{"source": f.source, "seq": f.seq, "what": f.what} for f in report.findings],
            }
        )
    else:
        console.out.print(
            t(
                f"存储 {report.stored_size}，锁定 {report.locked_size}，公布 {report.published_size} 条。",
                f"{report.stored_size} stored, {report.locked_size} locked, {report.published_size} published.",
            )
        )
        for finding in report.findings:
            where = "" if finding.seq is None else f" [{finding.seq}]"
            console.err.print(f"{finding.source}{where}: {finding.what}")
        console.out.print(
            t("账本完整。", "The ledger is clean.")
            if report.is_clean
            else t("账本有误！", "The ledger is broken!")
        )
    return report.is_clean


def _check_all(service: Service, applications: Sequence[Application]) -> list[Outcome]:
    outcomes = []
    for application in applications:
        try:
            service.issuing.check(application)
            outcomes.append(Outcome(application.row, None, None))
        except RequestError as exc:
            outcomes.append(Outcome(application.row, None, exc))
    return outcomes


def _print_outcomes(service: Service, outcomes: Sequence[Outcome], out: Path | None, json: bool) -> None:
    for outcome in outcomes:
        if outcome.issued is not None and out is not None:
            out.mkdir(parents=True, exist_ok=True)
            path = out / f"{outcome.issued.identifier}.pdf"
            path.write_bytes(service.issuing.issued_file(outcome.issued.pid))
        if json and (outcome.issued is not None or outcome.error is not None):
            console.print_json(outcome_json(outcome))
        elif outcome.error is not None:
            _print_refusal(outcome)


def _print_refusal(outcome: Outcome) -> None:
    error = outcome.error
    row = t(f"第 {outcome.row} 行", f"row {outcome.row}")
    if isinstance(error, ProfileViolation):
        for violation in error.violations:
            words = console.violation_words(violation)
            console.err.print(f"{row} · {violation.field}: {words}")
    elif error is not None:
        console.err.print(f"{row}: {console.error_words(error)}")
