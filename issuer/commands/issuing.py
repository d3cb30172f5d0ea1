"""`issue`, `stamp`, `replace`: the work and the output of the commands on records."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from issuer.catalogue import TypeProfile, load_profile
from issuer.commands.out_folder import (
    check_no_other_file,
    check_out_folder,
    file_name,
    make_out_folder,
    replace_out,
    write_out,
)
from issuer.ecertificates.issuing import BATCH, Foreseen, Outcome
from issuer.ecertificates.records import Record, read_file, read_records
from issuer.service import IssuerService
from issuer.shown import outcome_json
from trust.encoding.digests import sha256
from trust.model.actor import Actor
from trust.model.ecertificate import Application, IssuedECertificate
from trust.model.errors import Malformed, ProfileViolation, RequestError
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t


def issue_records(
    service: IssuerService,
    type_short: str,
    source: Path | None,
    *,
    authority: str | None,
    seal: str | None,
    also: Sequence[str],
    for_abroad: bool = False,
    out: Path | None,
    dry_run: bool,
    resume: bool,
    approval: int | None = None,
    json: bool,
) -> bool:
    """Issues a file of records. True if every row was issued."""
    # Read everything first, so that nothing is sealed if the file or the folder turns out to be unusable.
    profile = load_profile(type_short) if source is not None else None
    read = read_file(source, profile) if source is not None and profile is not None else None
    if out is not None:
        (check_out_folder if dry_run else make_out_folder)(out, len(read.records) if read else 0)
    if resume and not dry_run:
        finished = service.issuing.resume_unfinished()
        finished_acts = service.statuses.resume_pending()
        _write_files(service, finished, out)
        _print_outcomes(finished, json)
        if not json:
            console.out.print(
                t(
                    f"已继续完成 {len(finished)} 份签发、{finished_acts} 项状态变更。",
                    f"Finished {len(finished)} interrupted issues and {finished_acts} changes of status.",
                )
            )
    if source is None or profile is None or read is None:
        return True
    if read.note is not None and not json:
        console.err.print(t(*read.note))
    walk = _Walk(service, operator_here(), profile, authority, seal, also, for_abroad, out)
    act = walk.foresee if dry_run else walk.issue
    try:
        with console.progress(len(read.records), t("签发", "issuing"), quiet=json) as advance:
            act(read.records, approval, advance)
    finally:
        walk.outcomes.sort(key=lambda outcome: outcome.row)
        counted = t("第 {} 条", "record {}") if source.suffix.lower() == ".json" else _row_words()
        _print_outcomes(walk.outcomes, json, profile=profile, counted=counted)
    refused = [o for o in walk.outcomes if o.error is not None]
    if not json:
        _print_sum(walk.outcomes, len(refused), is_dry_run=dry_run)
    return not refused


@dataclass
class _Walk:
    """Issues a file of records batch by batch, so that only the pictures of one batch are in memory."""

    service: IssuerService
    actor: Actor
    profile: TypeProfile
    authority: str | None
    seal: str | None
    also: Sequence[str]
    for_abroad: bool
    out: Path | None
    outcomes: list[Outcome] = field(default_factory=list)

    def issue(self, records: Sequence[Record], approval: int | None, advance: Callable[[int], None]) -> None:
        issuing = self.service.issuing
        self._check_names(records)
        # For approvals, the whole file is one request, not each batch.
        issuing.check_many(self.actor, self._without_pictures(records), approval)
        seen: dict[bytes, int] = {}
        for batch in _batches(records):
            outcomes = issuing.issue_checked(self.actor, list(self._applications(batch)), seen=seen)
            self.outcomes += outcomes
            _write_files(self.service, outcomes, self.out)
            advance(len(batch))

    def foresee(
        self, records: Sequence[Record], approval: int | None, advance: Callable[[int], None]
    ) -> None:
        issuing = self.service.issuing
        self._check_names(records)
        issuing.foresee_many(self.actor, self._without_pictures(records), approval)
        foreseen = Foreseen()
        for batch in _batches(records):
            self.outcomes += issuing.foresee(self.actor, self._applications(batch), foreseen)
            advance(len(batch))

    def _applications(self, records: Sequence[Record]) -> Iterator[Application]:
        for record in records:
            try:
                yield self._application(record)
            except RequestError as exc:
                self.outcomes.append(Outcome(record.row, None, exc))

    def _without_pictures(self, records: Sequence[Record]) -> Iterator[Application]:
        for record in records:
            with suppress(RequestError):  # its outcome will contain the error
                yield self._application(replace(record, picture=None))

    def _application(self, record: Record) -> Application:
        return self.service.applying.application_from(
            record,
            self.profile,
            authority=self.authority,
            seal=self.seal,
            also=self.also,
            for_abroad=self.for_abroad,
        )

    def _check_names(self, records: Sequence[Record]) -> None:
        """Raises `Malformed` if a file of a row that was issued before would overwrite another file."""
        if self.out is None or not self.out.is_dir() or not any(self.out.iterdir()):
            return
        for record in records:
            try:
                known = self.service.issuing.find_issued(self.actor, self._application(record))
            except RequestError:
                continue  # its outcome will contain the error
            if known is not None:
                data = self.service.issuing.issued_file(known.pid)
                check_no_other_file(self.out, _name_in(self.service, self.out, known), data)


def _batches(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), BATCH):
        yield records[start : start + BATCH]


def _print_sum(outcomes: Sequence[Outcome], refused: int, *, is_dry_run: bool) -> None:
    twice = sum(o.repeats_row is not None for o in outcomes)
    before = sum(o.repeated and o.repeats_row is None for o in outcomes)
    issued = len(outcomes) - refused - before - twice
    zh = f"，文件内重复 {twice} 行" if twice else ""
    en = f", {twice} rows repeat an earlier one" if twice else ""
    if is_dry_run:
        zh += f"，此前已签发 {before} 份" if before else ""
        en += f", {before} were issued before" if before else ""
        zh, en = (
            f"检查 {len(outcomes)} 行，{refused} 行不符合要求{zh}。",
            f"{len(outcomes)} rows checked, {refused} would be refused{en}.",
        )
    else:
        zh, en = (
            f"签发 {issued} 份，此前已签发 {before} 份，退回 {refused} 行{zh}。",
            f"{issued} issued, {before} were issued before, {refused} rows refused{en}.",
        )
    console.out.print(t(zh, en))


def stamp_pdf(
    service: IssuerService,
    pdf: Path,
    source: Path,
    out: Path,
    *,
    type_short: str | None,
    seal: str | None,
    also: Sequence[str],
    authority: str | None,
    lose_standard: bool,
    for_abroad: bool = False,
    json: bool,
) -> bool:
    """Seals a department's own PDF."""
    try:
        sidecar = json_module.loads(source.read_text(encoding="utf-8-sig"))
        data = pdf.read_bytes()
    except (OSError, ValueError, RecursionError) as exc:
        raise Malformed("The PDF or its data file cannot be read.", "Check both paths and the JSON.") from exc
    if out.is_dir():
        raise Malformed(
            f"{out} is a folder.",
            "Name a file with --out.",
            code="OUT_UNUSABLE",
            zh=f"{out} 是文件夹，请用 --out 写出文件名。",
        )
    make_out_folder(out.parent, 1)
    application = service.applying.stamp_application(
        data,
        sidecar if isinstance(sidecar, dict) else {},
        type_short=type_short,
        seal=seal,
        authority=authority,
        also=also,
        lose_standard=lose_standard,
        for_abroad=for_abroad,
    )
    (outcome,) = service.issuing.issue(operator_here(), [application])
    if outcome.issued is not None:
        replace_out(out, service.issuing.issued_file(outcome.issued.pid))
    _print_outcomes([outcome], json)
    return outcome.error is None


def replace_record(
    service: IssuerService, identifier: str, source: Path, *, reason: str, out: Path | None, json: bool
) -> bool:
    """Issues the next version from a file with exactly one record."""
    old = service.issuing.named(identifier)
    profile = load_profile(old.type_short)
    records = read_records(source, profile)
    if len(records) != 1:
        raise Malformed(
            f"{source.name} holds {len(records)} records, not one.", "Give the corrected record alone."
        )
    application = service.applying.application_from(
        records[0], profile, authority=old.authority_id, seal=None
    )
    if out is not None:
        make_out_folder(out, 1)
    outcome = service.statuses.replace(
        operator_here(), old.pid, replace(application, replaces=old.pid), reason=reason
    )
    _write_files(service, [outcome], out)
    _print_outcomes([outcome], json, profile=profile)
    return outcome.error is None


def _write_files(service: IssuerService, outcomes: Sequence[Outcome], out: Path | None) -> None:
    if out is None:
        return
    for outcome in outcomes:
        if outcome.issued is not None and outcome.repeats_row is None:
            data = service.issuing.issued_file(outcome.issued.pid)
            write_out(out, _name_in(service, out, outcome.issued), data)


def _name_in(service: IssuerService, folder: Path, issued: IssuedECertificate) -> str:
    """The file name by type and number, or by the identifier if a licence of another authority has that name."""
    name = file_name(issued)
    try:
        standing = sha256((folder / name).read_bytes())
    except OSError:
        return name
    pid = service.issuing.pid_of_file(standing)
    return name if pid in (None, issued.pid) else f"{issued.identifier}.pdf"


def _row_words() -> str:
    return t("第 {} 行", "row {}")


def _print_outcomes(
    outcomes: Sequence[Outcome], json: bool, *, profile: TypeProfile | None = None, counted: str = ""
) -> None:
    counted = counted or _row_words()
    for outcome in outcomes:
        if json:
            console.print_json(outcome_json(outcome))
        elif outcome.error is not None:
            _print_refusal(outcome, counted.format(outcome.row), profile)
        elif outcome.repeats_row is not None:
            row, earlier = counted.format(outcome.row), counted.format(outcome.repeats_row)
            console.err.print(
                t(
                    f"{row}：与{earlier}相同，两行只签发一份。",
                    f"{row}: repeats {earlier}; one licence is for both.",
                )
            )


def _print_refusal(outcome: Outcome, row: str, profile: TypeProfile | None) -> None:
    error = outcome.error
    if isinstance(error, ProfileViolation):
        for violation in error.violations:
            field_name = _shown_field(violation.field, profile)
            console.err.print(f"{row} · {field_name}{t('：', ': ')}{console.violation_words(violation)}")
    elif error is not None:
        console.err.print(f"{row}{t('：', ': ')}{console.error_words(error)}")


def _shown_field(name: str, profile: TypeProfile | None) -> str:
    """The field's name for people: in Chinese, the label of its column."""
    known = profile.field_named(name) if profile is not None else None
    if known is not None:
        return t(known.label.zh, known.name)
    if name.startswith("column "):
        return t(f"{name.removeprefix('column ')} 列", name)
    return t({"row": "整行", "authority": "签发机构"}.get(name, name), name)
