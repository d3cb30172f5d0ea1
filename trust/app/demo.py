"""The demo: the main job on the sample data, step by step, each with what it proves.

Each call states the verdict that it expects, and any other verdict makes the demo fail. The demo uses the same
functions as the commands and the API.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pypdfium2

from issuer.catalogue import load_profile
from issuer.ecertificates.issuing import Outcome
from issuer.ecertificates.records import read_records
from issuer.presenting.presenting import Level
from issuer.publishing.auditing import audit_status_lists
from keys.suites import Suite
from ledger.audit import audit
from ledger.recheck import recheck
from ledger.tilefolder import SM3_FOLDER, TileFolder
from trust.app import samples
from trust.app.compose import Site, open_site
from trust.app.settings import read_settings
from trust.encoding.ecertificate_data import CHINA
from trust.encoding.qr import write_qr
from trust.model.actor import OPERATOR
from trust.model.ecertificate import Application, IssuedECertificate
from trust.model.errors import Conflict, StorageError
from trust.model.report import Report, Verdict
from trust.model.status import StatusAct
from trust.pdf.gap import check_gaps
from trust.sandbox.lanes import Lane
from trust.storage.folder import DataFolderLock
from trust.terminal import console
from trust.terminal.console import t
from verifier.checks.archive_package import Property
from verifier.checks.pictures import read_codes
from verifier.checks.verifying import Verifier
from verifier.evidence.bundle import evidence_from_bundle
from verifier.reports.shown import report_json

_MARKER = ".yinzheng-demo"
_PARTS = ("data", "licences", "codes", "reports", "bundle", "archive")


@dataclass(slots=True)
class _Run:
    out: Path
    site: Site
    folder: Path
    today: date
    mismatches: list[str] = field(default_factory=list)
    issued: list[tuple[str, IssuedECertificate]] = field(default_factory=list)

    def step(self, number: int, zh: str, en: str) -> None:
        console.out.print(f"\n{number}. {t(zh, en)}", style="bold")

    def say(self, zh: str, en: str) -> None:
        console.out.print(f"   {t(zh, en)}", markup=False)

    def expect(self, name: str, report: Report, *codes: str) -> None:
        """Writes a report to a file, and compares its verdict with the expected ones (any of `codes`)."""
        path = self.out / "reports" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(report_json(report), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        right = report.code in codes
        if not right:
            self.mismatches.append(f"{name}: expected {' or '.join(codes)}, got {report.code}")
        self.say(
            f"{'✔' if right else '✖'} {name}: {report.verdict.value} {report.code}",
            f"{'✔' if right else '✖'} {name}: {report.verdict.value} {report.code}",
        )

    def require(self, what: str, holds: bool) -> None:
        if not holds:
            self.mismatches.append(what)
        self.say(f"{'✔' if holds else '✖'} {what}", f"{'✔' if holds else '✖'} {what}")


def run_demo(out: Path) -> bool:
    """Runs the demo. True if all verdicts were as expected."""
    started = time.perf_counter()
    folder = samples.find_samples()
    clear(out)
    with open_site(read_settings(out / "data"), create=True) as site:
        run = _Run(out, site, folder, site.clock.now().astimezone(CHINA).date())
        _register(run)
        _issue(run)
        _stamp(run)
        _present(run)
        _verify_files(run)
        _change_status(run)
        _archive(run)
        _check_ledger(run)
    seconds = time.perf_counter() - started
    if run.mismatches:
        console.err.print(t("未达到预期：", "Not as expected:"))
        for line in run.mismatches:
            console.err.print(f"  {line}", markup=False)
        return False
    console.out.print()
    run.say(
        f"全部符合预期，用时 {seconds:.1f} 秒。结果在 {out}/。",
        f"All as expected in {seconds:.1f} s. See {out}/.",
    )
    _say_what_to_look_at(out, run)
    return True


def clear(out: Path) -> None:
    """Deletes the files of an earlier demo in `out`, and nothing else.

    Raises `Conflict`: NOT_A_DEMO if a folder there is not of a demo, DATA_FOLDER_IN_USE if a service still uses the
    data.
    """
    marker = out / _MARKER
    left = [out / part for part in _PARTS if (out / part).exists()]
    if left and not marker.exists():
        raise Conflict(
            f"{left[0]} was not made by the demo, which would delete it.",
            "Choose an empty folder with --out.",
            code="NOT_A_DEMO",
            zh=f"{left[0]} 不是演示程序建立的，演示会删除它。请用 --out 选择一个空文件夹。",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        marker.touch()
        with DataFolderLock(out / "data"):
            for part in _PARTS:
                if (out / part).exists():
                    shutil.rmtree(out / part)
    except OSError as exc:
        raise StorageError(f"{out} cannot be cleared for the demo: {exc.strerror}.") from exc


def _register(run: _Run) -> None:
    run.step(1, "登记机构、印章和证照类型", "Register departments with their seals and certificate types")
    listed = samples.register_authorities(run.site, run.folder)
    run.site.issuer.publishing.trust_list(run.site.clock.now())
    seals = run.site.issuer.seals.registry.list()
    run.say(
        f"{len(listed)} 个机构，{len(seals)} 枚印章（SM2、RSA、P-256），密钥各有专用，证书链分开。",
        f"{len(listed)} authorities, {len(seals)} seals (SM2, RSA, P-256); one key, one purpose.",
    )


def _issue(run: _Run) -> None:
    run.step(
        2,
        "由部门导出的记录签发：排版、盖章、时间戳、入账、回执入档",
        "Issue from the departments' exports: lay out, seal, time-stamp, log, receipt inside",
    )
    started = time.perf_counter()
    total = 0
    for short, name, authority in samples.RECORDS:
        profile = load_profile(short)
        applications = [
            run.site.issuer.applying.application_from(record, profile, authority=authority, seal=None)
            for record in samples.read_sample(run.folder / name, profile, run.today)
        ]
        applications = [_with_seal(number, a) for number, a in enumerate(applications)]
        with console.progress(len(applications), name, quiet=False) as advance:
            outcomes = run.site.issuer.issuing.issue(OPERATOR, applications, on_progress=advance)
        total += len(outcomes)
        _keep(run, outcomes)
        refused = [o for o in outcomes if o.error is not None]
        run.require(
            t(f"{name}: {len(outcomes)} 行全部签发", f"{name}: all {len(outcomes)} rows issued"), not refused
        )
        for outcome in refused:
            run.say(f"第 {outcome.row} 行 {outcome.error}", f"row {outcome.row} {outcome.error}")
    seconds = time.perf_counter() - started
    run.say(
        f"{total} 份，{total / seconds:.0f} 份/秒。", f"{total} licences, {total / seconds:.0f} a second."
    )
    profile = load_profile("FOOD")
    bad = read_records(run.folder / "bad-rows.csv", profile)
    outcomes = run.site.issuer.issuing.issue(
        OPERATOR,
        [
            run.site.issuer.applying.application_from(r, profile, authority="chuncheng-market", seal=None)
            for r in bad
        ],
    )
    run.require(
        t(
            f"{len(bad)} 行错误记录逐行退回，各有原因",
            f"{len(bad)} wrong rows refused, each with its reasons",
        ),
        all(o.error is not None for o in outcomes),
    )


def _with_seal(number: int, application: Application) -> Application:
    """The application, for some licences to be shown abroad with the authority's RSA seal, beside the SM2 one or
    alone."""
    abroad = samples.seal_id(application.authority_id, Suite.RSA3072_SHA256)
    if application.authority_id.startswith("chuncheng-market") and number % 3 == 2:
        return replace(application, seal_id=abroad)
    if application.authority_id.startswith("chuncheng-market") and number % 3 == 1:
        return replace(application, further_seals=(abroad,))
    return application


def _stamp(run: _Run) -> None:
    run.step(3, "在部门已有的 PDF 上盖章", "Seal PDFs that a department already has")
    for name, authority in samples.PDFS:
        pdf, sidecar = samples.read_ready_made(run.folder, name, run.today)
        application = run.site.issuer.applying.stamp_application(
            pdf, sidecar, type_short=None, seal=None, authority=authority
        )
        outcomes = run.site.issuer.issuing.issue(OPERATOR, [application])
        run.require(name, outcomes[0].error is None)
        _keep(run, outcomes, stem=f"stamped-{name}")


def _keep(run: _Run, outcomes: Sequence[Outcome], stem: str | None = None) -> None:
    for outcome in outcomes:
        if outcome.issued is None:
            continue
        suite = run.site.issuer.seals.registry.get(outcome.issued.seal_id).suite.value.split("-")[0]
        pdf = run.site.issuer.issuing.issued_file(outcome.issued.pid)
        both = "-dual" if len(check_gaps(pdf)) > 1 else ""
        name = stem or f"{outcome.issued.type_short}-{outcome.row:02d}-{suite}{both}"
        path = run.out / "licences" / f"{name}.pdf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pdf)
        run.issued.append((name, outcome.issued))


def _present(run: _Run) -> None:
    run.step(4, "持证人亮证，窗口扫码", "The holder shows a code, the counter scans it")
    _, shown = run.issued[0]
    presentation = run.site.issuer.presenting.start(
        OPERATOR, shown.pid, purpose="办理延续", level=Level.NAMED
    )
    code, _ = run.site.issuer.presenting.code(presentation, run.site.clock.now())
    picture = run.out / "codes" / "live.png"
    write_qr(code, picture)
    now = run.site.clock.now
    run.expect(
        "live-code",
        run.site.verifier.checking.verify(picture.read_bytes(), now(), verifier="counter 3"),
        "OK",
    )
    run.expect(
        "live-code-screenshot",
        run.site.verifier.checking.verify(code, now(), verifier="counter 7"),
        "CODE_USED",
    )
    for name, _ in run.issued[:1] + run.issued[-3:-2]:
        path = run.out / "codes" / f"printed-{name}.png"
        _draw_page(run.out / "licences" / f"{name}.pdf", path)
        run.expect(f"printed-{name}", run.site.verifier.checking.verify(path.read_bytes(), now()), "OK")


def _draw_page(pdf: Path | bytes, picture: Path) -> None:
    """Draws the last page, which has the code and the seal, as a phone would photograph it."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        document.init_forms()
        document[len(document) - 1].render(scale=220 / 72).to_pil().save(picture)
    finally:
        document.close()


def _verify_files(run: _Run) -> None:
    run.step(
        5, "核验文件：在线、离线、改动一个字节", "Check the files: online, offline, with one byte changed"
    )
    at = run.site.clock.now()
    evidence = run.site.verifier.checking.online.gather(at)
    with console.progress(len(run.issued), t("核验", "verifying"), quiet=False) as advance:
        passed = 0
        for name, _ in run.issued:
            report = run.site.verifier.checking.verifiers[Lane.MACHINE].verify_bytes(
                (run.out / "licences" / f"{name}.pdf").read_bytes(), evidence, at
            )
            passed += report.code == "OK"
            advance(1)
    run.require(
        t(f"{passed}/{len(run.issued)} 份在线核验通过", f"{passed} of {len(run.issued)} pass online"),
        passed == len(run.issued),
    )
    _write_bundle(run)
    for name in (run.issued[0][0], run.issued[2][0], run.issued[-1][0]):
        data = (run.out / "licences" / f"{name}.pdf").read_bytes()
        run.expect(f"{name}-online", run.site.verifier.checking.verify(data, at), "OK")
        run.expect(f"{name}-offline", _verify_offline(run, data), "OK")
        changed = bytearray(data)
        changed[len(data) // 3] ^= 1
        # If the byte belongs to the file's structure, the file cannot be read; it does not pass in either case.
        verdict = _verify_offline(run, bytes(changed))
        run.expect(f"{name}-one-byte-changed", verdict, "ALTERED", "BROKEN_PDF")


def _write_bundle(run: _Run) -> None:
    run.site.issuer.publishing.write_bundle(run.out / "bundle", run.site.clock.now())


def _verify_offline(run: _Run, data: bytes | str) -> Report:
    """The report of a verification with the bundle only, without asking the site."""
    at = datetime.now(UTC)
    evidence = evidence_from_bundle(run.out / "bundle", at)
    verifier = Verifier(run.site.sandboxes.of[Lane.MACHINE], live=None)
    return (
        verifier.verify_text(data, evidence, at)
        if isinstance(data, str)
        else verifier.verify_bytes(data, evidence, at)
    )


def _change_status(run: _Run) -> None:
    run.step(
        6,
        "暂停、撤销、换发：同一文件、同一纸面二维码随之失效",
        "Suspend, revoke, replace: the same file and the same printed code now fail",
    )
    acts: tuple[tuple[int, StatusAct, str, str], ...] = (
        (0, StatusAct.REVOKE, "penalty", "REVOKED"),
        (1, StatusAct.SUSPEND, "投诉调查", "SUSPENDED"),
    )
    for index, act, reason, code in acts:
        name, issued = run.issued[index]
        run.site.issuer.statuses.change(OPERATOR, issued.pid, act, reason=reason)
        _expect_everywhere(run, name, code)
    name, issued = run.issued[2]
    profile = load_profile(issued.type_short)
    record = samples.read_sample(run.folder / "food.csv", profile, run.today)[2]
    corrected = replace(
        run.site.issuer.applying.application_from(record, profile, authority=issued.authority_id, seal=None),
        replaces=issued.pid,
    )
    outcome = run.site.issuer.statuses.replace(OPERATOR, issued.pid, corrected, reason="地址变更")
    _keep(run, [outcome], stem=f"{name}-v2")
    _expect_everywhere(run, name, "REPLACED")
    new = (run.out / "licences" / f"{name}-v2.pdf").read_bytes()
    run.expect(f"{name}-v2-online", run.site.verifier.checking.verify(new, run.site.clock.now()), "OK")


def _expect_everywhere(run: _Run, name: str, code: str) -> None:
    data = (run.out / "licences" / f"{name}.pdf").read_bytes()
    picture = run.out / "codes" / f"printed-{name}.png"
    if not picture.exists():
        _draw_page(run.out / "licences" / f"{name}.pdf", picture)
    _write_bundle(run)
    run.expect(
        f"{name}-{code.lower()}-file", run.site.verifier.checking.verify(data, run.site.clock.now()), code
    )
    run.expect(f"{name}-{code.lower()}-file-offline", _verify_offline(run, data), code)
    report = run.site.verifier.checking.verify(picture.read_bytes(), run.site.clock.now())
    run.expect(f"{name}-{code.lower()}-printed", report, code)


def _archive(run: _Run) -> None:
    run.step(
        7,
        "长期保存：补入证据和归档时间戳，移交电子档案",
        "For decades: evidence and a new time-stamp into the file, and hand-over to an e-archive",
    )
    # One licence of each kind: one seal, two seals, a department's own PDF.
    untouched = run.issued[3:]  # the first three were revoked, suspended and replaced
    dual = next(each for each in untouched if each[0].endswith("-dual"))
    stamped = next(each for each in untouched if each[0].startswith("stamped-"))
    kept = [untouched[0], stamped, dual]
    site = run.site
    renewals = site.issuer.archiving.renew(OPERATOR, [issued.pid for _, issued in kept])
    run.require(
        t(f"{len(kept)} 份各有归档版本", f"{len(kept)} later versions, each a ledger entry"),
        all(renewal.error is None for renewal in renewals),
    )
    for name, issued in kept:
        path = run.out / "licences" / f"{name}-archived.pdf"
        path.write_bytes(site.issuer.archiving.file(issued.pid))
    name, issued = kept[-1]
    exported = site.packages.export_package(OPERATOR, issued.identifier)
    (run.out / "archive").mkdir(exist_ok=True)
    (run.out / "archive" / f"{name}.zip").write_bytes(exported.package)
    at = site.clock.now()
    with tempfile.TemporaryDirectory(prefix="yinzheng-demo-") as folder:
        bundle = Path(folder)
        site.issuer.publishing.write_bundle(bundle, at)
        evidence, verifier = (
            evidence_from_bundle(bundle, at),
            Verifier(site.sandboxes.of[Lane.MACHINE], live=None),
        )
        report = verifier.verify_bytes(site.issuer.archiving.file(issued.pid), evidence, at)
    run.expect(f"{name}-archived-offline", report, "OK")
    names = {
        Property.AUTHENTICITY: t("真实性", "authentic"),
        Property.INTEGRITY: t("完整性", "whole"),
        Property.USABILITY: t("可用性", "usable"),
        Property.SAFETY: t("安全性", "safe"),
    }
    for each in exported.checked.properties:
        run.require(f"{names[each.property]} ({len(each.findings)})", each.result is Verdict.PASSED)


def _check_ledger(run: _Run) -> None:
    run.step(8, "账本：从头核对，任何人可查", "The ledger: checked from its first entry; anyone can")
    site = run.site
    site.ledger.log.publish()
    report = recheck(
        site.stores.ledger, site.ledger.ledger_folder, site.stores.lock, log_vkey=site.ledger.log.vkey
    )
    run.require(
        t(
            f"{report.stored_size} 条，链、树、检查点一致",
            f"{report.stored_size} entries; chain, tree, checkpoint agree",
        ),
        report.is_clean,
    )
    outside = audit(
        TileFolder(site.ledger.ledger_folder),
        TileFolder(site.ledger.ledger_folder / SM3_FOLDER),
        log_vkey=site.ledger.log.vkey,
    )
    issued, authorities = sum(outside.issued.values()), len(outside.issued)
    run.require(
        t(
            f"外部审计只凭文件和一把公钥：{authorities} 个机构共签发 {issued} 件，两棵树一致",
            f"audited with the files and one key: {issued} issued by {authorities} authorities, both trees agree",
        ),
        not outside.findings,
    )
    lists, differing = audit_status_lists(
        site.stores.register, site.ledger.log.entries(), site.ledger.log.keys
    )
    run.require(
        t(
            f"{lists} 份状态列表由条目重算，逐位一致",
            f"{lists} status lists made again from the entries, bit for bit",
        ),
        not differing,
    )
    before = site.ledger.log.size
    profile = load_profile("ROADTP")
    records = samples.read_sample(run.folder / "roadtp.csv", profile, run.today)
    again = site.issuer.issuing.issue(
        OPERATOR,
        [
            site.issuer.applying.application_from(r, profile, authority="yunling-transport", seal=None)
            for r in records
        ],
    )
    run.require(
        t("再次导入同一文件，没有重复签发", "the same file imported again issues nothing twice"),
        all(o.repeated for o in again) and site.ledger.log.size == before,
    )


def _say_what_to_look_at(out: Path, run: _Run) -> None:
    first, dual = run.issued[3][0], next(name for name, _ in run.issued[3:] if name.endswith("-dual"))
    listed = (
        (f"licences/{first}.pdf", "食品经营许可证：印章、证面二维码", "a licence: its seal, its printed code"),
        (f"licences/{dual}.pdf", "同一证照的国密、国际两枚印章", "one licence with two seals, SM2 and RSA"),
        ("codes/live.png", "亮证码，已使用一次", "a live code, used up"),
        ("reports/", "每个结论的报告（JSON）", "the report of each verdict (JSON)"),
        ("bundle/", "离线核验：见下一行", "to verify without a network: see the next line"),
    )  # fmt: skip
    console.out.print(f"\n{t('接下来可以看：', 'What to look at next:')}", style="bold")
    for number, (what, zh, en) in enumerate(listed, 1):
        run.say(f"{number}. {out / what}  {zh}", f"{number}. {out / what}  {en}")
    command = f".venv/bin/yinzheng verify --offline {out}/bundle {out}/licences/{first}.pdf"
    run.say(f"6. {command}", f"6. {command}")
    run.say(
        "7. make demo SERVE=1  打开网页：公众核验、窗口、持证人",
        "7. make demo SERVE=1  for the pages of the public, the counter and the holder",
    )


_SERVE = (
    ("{base}/verify", "公众核验：拖入 {out}/licences/ 中任一 PDF", "the public: drop any PDF of {out}/licences/"),
    ("{base}/desk", "窗口：用下面的密钥登录，再拖入同一 PDF", "the counter: sign in with the key below, drop a PDF"),
    ("{wallet}", "持证人：打开后亮证，把码贴到窗口页", "the holder: show it, paste its code at the counter"),
    ("{base}/seals", "印章名录", "the register of seals"),
    ("{base}/trust", "信任列表", "whom this service trusts"),
    ("{base}/ledger", "账本：逐条可查", "the ledger, entry by entry"),
    ("{base}{printed}", "手机扫证面二维码所见", "what a phone shows that scans a printed code"),
)  # fmt: skip


def serve_demo(out: Path, port: int) -> None:
    """Starts the service with the demo's data and prints the addresses to look at, in order."""
    from trust.app.serving import serve

    base = f"http://127.0.0.1:{port}"
    # With an https address cookies would be Secure, but the demo is served without TLS, on this machine only.
    settings = replace(read_settings(out / "data"), base_url=base)
    with open_site(settings) as site:
        places = _places(site, base, out)
    console.out.print(f"\n{t('请依次打开：', 'Open these, in this order:')}", style="bold")
    for number, (address, zh, en) in enumerate(_SERVE, 1):
        console.out.print(
            f"{number}. {address.format(**places)}\n   {t(zh, en).format(**places)}",
            markup=False,
            soft_wrap=True,
        )
    console.out.print(f"\n{t('窗口密钥', 'desk key')}: {places['desk']}", markup=False)
    console.out.print(t("按 Ctrl-C 结束。", "Ctrl-C ends it."))
    serve(settings, host="127.0.0.1", port=port, workers=1)


def _places(site: Site, base: str, out: Path) -> dict[str, str]:
    """The addresses to look at, and a key for the desk, by label."""
    from issuer.ecertificates import sql
    from trust.model.clock import SystemEntropy
    from trust.people.access import open_access

    access = open_access(site.stores.register, site.clock, SystemEntropy(), site.admin.access.trail)
    # Use a key of the issuing department, whose desk also sees the page and the differences.
    desk = access.clients.create_api_key(
        OPERATOR,
        "demo counter",
        authority_id="chuncheng-market",
        scopes=["desk", "verify", "cert.read"],
        days=1,
    )
    with site.stores.register.read() as connection:
        shown = sql.find_ecertificate(connection, type_short="MEDPR", status="VALID")
        printed = sql.find_ecertificate(connection, type_short="FOOD", status="VALID")
        refs = sql.holder_refs_of(connection, shown.id or 0) if shown is not None else []
    assert printed is not None, "the demo has issued food licences"
    picture = out / "codes" / "printed-landing.png"
    _draw_page(site.issuer.issuing.issued_file(printed.pid), picture)
    (code,) = (text for text in read_codes(picture.read_bytes()) if "/Q/" in text)
    return {
        "base": base,
        "out": str(out),
        "desk": desk,
        "printed": code[code.index("/Q/") :],
        "wallet": f"{base}/wallet/claim/{access.invitations.create_claim_link(OPERATOR, refs[0])}",
    }
