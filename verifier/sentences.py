"""The texts of a verdict for people: a headline, a sentence and advice, in zh-CN and en.

Keyed by the report's code, so that pages, the command line and the API say the same. A sentence may use {date},
{until}, {reason} and {issuer}; an unknown value becomes a dash. A code without a sentence of its own gets its verdict's
sentence; a test ensures that all our codes have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trust.model.report import Colour, Report, Result, Verdict
from trust.words.language import Language, show_date


@dataclass(frozen=True, slots=True)
class Words:
    """`headline` is the verdict in a word or two; `sentence` says why; `advice` what to do next."""

    headline: str
    sentence: str
    advice: str


_HEADLINES: Mapping[Language, Mapping[Colour, str]] = {
    "zh-CN": {
        Colour.GREEN: "核验通过",
        Colour.AMBER: "请注意",
        Colour.RED: "核验未通过",
        Colour.GREY: "未能读取",
    },
    "en": {
        Colour.GREEN: "Valid",
        Colour.AMBER: "Attention",
        Colour.RED: "Not valid",
        Colour.GREY: "Not read",
    },
}


_FOREIGN_HEADLINE: Mapping[Language, str] = {
    "zh-CN": "签名有效，不是本系统证照",
    "en": "Valid signature, but not an e-certificate",
}


_SENTENCES: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "OK": (
        ("证照真实有效。", "请将下列内容与纸面或本人核对。"),
        ("Authentic and in force.", "Compare the fields below with the page or the person."),
    ),
    "FOREIGN": (
        ("文件上的签名有效，签名后未被改动；它不是本系统签发的证照。", "请确认签名人是谁、是否有权签署。"),
        (
            "The signatures are valid and nothing was changed after them; it is not an e-certificate of this system.",
            "Check who signed and whether they were authorised.",
        ),
    ),
    "FOREIGN_REVOCATION_NOT_CHECKED": (
        (
            "文件上的签名有效，签名后未被改动；未核查签名人的证书是否已被吊销。它不是本系统签发的证照。",
            "请确认签名人是谁、是否有权签署；要核查吊销，请用 --crl 提供其签发机构的吊销列表。",
        ),
        (
            "The signatures are valid and nothing was changed after them; revocation was not checked. "
            "It is not an e-certificate of this system.",
            "Check who signed and whether they were authorised; to check revocation, give the CA's list with --crl.",
        ),
    ),
    "UNKNOWN_SIGNER": (
        (
            "签名完好，但签名人的证书不出自您所信任的根证书，无法确认签名人是谁。",
            "请向签名人核实其根证书，再用 --trust-anchor 指定后重新核验。",
        ),
        (
            "The signature is intact, but leads to no root that you trust, so who signed is not known.",
            "Ask the signer for the root certificate, see that it is theirs, and name it with --trust-anchor.",
        ),
    ),
    "UNKNOWN_TIME_STAMP": (
        (
            "时间戳完好，但出具它的时间戳机构不在信任之列，无法确认时间。",
            "请确认该时间戳机构是否可信；可信的，请将其根证书一并列为信任。",
        ),
        (
            "The time-stamp is intact, but its authority is not one that is trusted here, so the time is not proven.",
            "Find out whether that authority can be trusted, and if so trust its root too.",
        ),
    ),
    "TIME_STAMP_NOT_PROVEN": (
        (
            "时间戳与这份签名不符，或未能通过核验，签署时间没有得到证明。",
            "请对方重新加盖时间戳，或直接向签名人核实。",
        ),
        (
            "The time-stamp does not belong to this signature or is not valid, so the time is not proven.",
            "Ask for a file with a valid time-stamp, or ask the signer.",
        ),
    ),
    "SIGNATURE_NOT_SUPPORTED": (
        (
            "文件上有签名，但这种签名本系统无法检验，因此不能判断其是否有效；这并不表示文件被改动。",
            "请用签名方提供的软件核验，或请对方按通用格式（PAdES）重新签署。",
        ),
        (
            "The file is signed in a way that cannot be checked here, so whether the signature is valid is not known. "
            "That does not mean that it was changed.",
            "Check it with the signer's own software, or ask for one signed as PAdES.",
        ),
    ),
    "HIDDEN_SIGNATURE": (
        (
            "文件里有表单上看不到的签名，不能确定各种阅读器显示的是同一份内容。",
            "请用签名方提供的软件核验，或请对方重新签署一份。",
        ),
        (
            "The file holds a signature that its form does not show, so not all readers may show the same.",
            "Check it with the signer's own software, or ask for one that is signed anew.",
        ),
    ),
    "ONLY_TIME_STAMPS": (
        (
            "文件上只有时间戳，没有签名：能证明它何时已经存在，不能证明出自何人。",
            "请向提供文件的人索取签署过的文件。",
        ),
        (
            "The file carries time-stamps and no signature: when it existed is proven, and not whose it is.",
            "Ask whoever gave it to you for a file that is signed.",
        ),
    ),
    "TRUST_LIST_FORGED": (
        (
            "信任列表不是由应当签署它的信任根签署的：可能是伪造的，或已损坏。",
            "不要使用这份离线包，请从发布方的网址重新获取，并核对信任根指纹。",
        ),
        (
            "The trust list was not signed by a root that is trusted: it is forged, or damaged.",
            "Do not use this bundle; fetch it anew where it is published, and compare the root's fingerprint.",
        ),
    ),
    "TRUST_LIST_ROLLED_BACK": (
        (
            "信任列表比此前见过的旧，可能有人用旧列表替换了新列表。",
            "请从发布方的网址重新获取最新的离线包。",
        ),
        (
            "The trust list is older than one seen here before: somebody may have replaced the newer one.",
            "Fetch the newest bundle where it is published.",
        ),
    ),
    "STATUS_LIST_FORGED": (
        (
            "状态列表不是由应当签署它的机构签署的：可能是伪造的，或已损坏；当前状态因此无法确认。",
            "不要使用这份离线包，请重新获取，或联网核验。",
        ),
        (
            "The status list was not signed by the right authority (forged or damaged), so the status is not known.",
            "Do not use this bundle; fetch a new one, or go online.",
        ),
    ),
    "LIST_ROLLED_BACK": (
        (
            "离线包中的列表比此前见过的旧：此后可能已有证照被吊销，当前状态因此无法确认。",
            "请重新获取最新的离线包，或联网核验；确需采信旧列表的，用 --forget-lists 并写明理由。",
        ),
        (
            "A list in the bundle is older than one seen here before, so what was revoked since is not known.",
            "Fetch the newest bundle, or go online; --forget-lists with a reason believes old ones again.",
        ),
    ),
    "BUNDLE_MIXED": (
        (
            "离线包中的各个文件不是同一次制作的（可能有人放入了旧列表，或没有复制完整），当前状态因此无法确认。",
            "请重新获取整个离线包，或联网核验。",
        ),
        (
            "The files of this bundle are not of one making (an old list, or half a copy): the status is not known.",
            "Fetch the whole bundle again, or go online.",
        ),
    ),
    "TWO_HISTORIES": (
        (
            "同一账本出现了两份互相矛盾的记录，当前状态因此无法确认。",
            "请保留这份离线包，告知发布方和监督部门，并联网核验。",
        ),
        (
            "The ledger shows another history than the one seen here before, so the status is not known.",
            "Keep this bundle, tell its publisher and whoever supervises it, and go online.",
        ),
    ),
    "ERASED": (
        (
            "登记簿已按规定删除了这份证照的资料，无法与登记文件比对。",
            "文件本身的核验结果见下；如需确认，请询问签发机构。",
        ),
        (
            "The register has erased what it knew of this e-certificate, so the file cannot be compared with it.",
            "What the file itself proves stands below; ask the issuing authority if you need more.",
        ),
    ),
    "NOT_LASTING": (
        ("文件不具备长期保存的条件。", "请查看逐项检测结果，补齐后重新归档。"),
        (
            "The file is not fit for long-term preservation.",
            "See below what is missing, add it, and archive the file again.",
        ),
    ),
    "SIGNER_STATUS_UNKNOWN": (
        (
            "无法得知签名人的证书是否已被吊销。",
            "请对方提供内含吊销信息的签名文件（PAdES B-LT），或直接向签名人核实。",
        ),
        (
            "Whether the signer's certificate was revoked is not known.",
            "Ask for a file that carries that information (PAdES B-LT), or ask the signer.",
        ),
    ),
    "CRYPTO_CONSTRAINTS_FAILURE": (
        ("签名使用的算法已不安全，不能证明任何事。", "请对方用现行算法重新签署。"),
        (
            "The signature uses an algorithm that proves nothing any more.",
            "Ask for one made with a current algorithm.",
        ),
    ),
    "REVOKED": (
        ("该证照已于{date}被{issuer}依法{reason}。", "不得作为凭证使用。"),
        ("{reason} on {date} by {issuer}.", "It must not be relied on."),
    ),
    "SUSPENDED": (
        ("该证照自{date}起暂停使用。", "请向签发机构了解情况。"),
        ("Suspended since {date}.", "Ask the issuing authority."),
    ),
    "REPLACED": (
        ("该证照已于{date}换发新证，此版本不再使用。", "请对方出示新证。"),
        ("Replaced on {date} by a newer version.", "Ask for the current one."),
    ),
    "EXPIRED": (
        ("该证照已于{until}到期。", "请对方办理延续后再出示。"),
        ("Expired on {until}.", "Ask for a renewed one."),
    ),
    "NOT_YET": (
        ("该证照尚未生效。", "请在生效日期之后再核验。"),
        ("Not in force yet.", "Check again when its term has begun."),
    ),
    "CODE_EXPIRED": (
        ("二维码已过期。", "请对方刷新后重新出示。"),
        ("The code has expired.", "Ask for a fresh one."),
    ),
    "CODE_USED": (
        ("此二维码已使用过，可能是截图。", "请对方在本人手机上重新出示。"),
        (
            "This code was used already; it may be a screenshot.",
            "Ask for a fresh one on the holder's own phone.",
        ),
    ),
    "CODE_NEEDS_NETWORK": (
        ("动态码只能联网核验。", "请连接网络，或请对方出示文件或印有二维码的页面。"),
        ("A live code can be checked online only.", "Go online, or ask for the file or the printed page."),
    ),
    "CODE_FOR_ANOTHER": (
        ("此二维码限定由“{audience}”核验，尚未使用。", "请由该单位核验，或请对方重新出示。"),
        (
            "This code is meant for {audience}, and has not been used up.",
            "Let them check it, or ask for a code that is meant for you.",
        ),
    ),
    "CODE_ELSEWHERE": (
        (
            "这是“{deployment}”的动态码，只有该平台能够核验。",
            "请到该平台核验，或请对方出示文件或印有二维码的页面。",
        ),
        (
            "This is a live code of {deployment}, and only that service can check it.",
            "Check it there, or ask for the file or the printed page.",
        ),
    ),
    "ALTERED": (
        ("文件内容在盖章后被改动，或不是签发的原文件。", "请向持证人或签发机构索取原文件。"),
        (
            "Changed after sealing, or not the file that was issued.",
            "Ask the holder or the issuer for the original.",
        ),
    ),
    "BAD_SEAL": (
        ("电子印章核验未通过。", "不要采信，请联系签发机构。"),
        ("The seal is not valid.", "Do not rely on it; contact the issuing authority."),
    ),
    "WRONG_PICTURE": (
        ("页面上的印章图案不是该印章的印模。", "不要采信，请联系签发机构。"),
        (
            "The picture on the page is not that of the seal.",
            "Do not rely on it; contact the issuing authority.",
        ),
    ),
    "SEAL_CERT_REVOKED": (
        ("使用印章时，其数字证书已被吊销。", "不要采信，请联系签发机构。"),
        ("The seal's certificate was revoked when it was used.", "Do not rely on it; contact the issuer."),
    ),
    "SEAL_NOT_IN_FORCE": (
        ("使用印章时，印章不在有效期内，或已冻结、挂失。", "请联系签发机构。"),
        (
            "The seal was not in force when it was used: out of its term, frozen or lost.",
            "Contact the issuing authority.",
        ),
    ),
    "LEDGER_MISMATCH": (
        ("文件与账本记录不一致。", "不要采信，请联系签发机构。"),
        ("The file does not match its ledger entry.", "Do not rely on it; contact the issuing authority."),
    ),
    "NOT_IN_LEDGER": (
        ("文件已盖章，但没有账本回执，签发尚未完成。", "请向签发机构索取签发后的文件。"),
        ("Sealed, but without a ledger receipt: its issue was not completed.", "Ask for the issued file."),
    ),
    "LEDGER_CLOSED": (
        (
            "登记这份证照的账本已经关闭，关闭前最后一段记录已丢失，因此无法确认。",
            "请向签发部门核实，或请其重新签发；这不说明证照是假的。",
        ),
        (
            "The ledger that holds this was closed after its last entries were lost, so nothing can be concluded.",
            "Ask the issuing department, or have it issued anew; it does not mean a forgery.",
        ),
    ),
    "NOT_ENTITLED": (
        ("盖章机构无权签发此类证照。", "不要采信，请联系主管部门。"),
        (
            "The sealing authority may not issue this type.",
            "Do not rely on it; contact the department in charge.",
        ),
    ),
    "NO_SEAL": (
        (
            "该文件为扫描件或另存件，不含电子印章，据此不能判断真伪。",
            "请扫描证面二维码或上传原件。",
        ),
        (
            "A scan, or a copy saved again: it carries no electronic seal, so whether it is genuine cannot be told.",
            "Scan the code on the page, or use the PDF as issued.",
        ),
    ),
    "COPY_WITH_CODE": (
        (
            "该文件为扫描件、打印件或另存件，不含电子印章；其中的二维码真实有效。",
            "请将文件内容与下列信息逐项核对；需要原件效力的，请上传签发的 PDF 原件。",
        ),
        (
            "A scan, a print or a copy without the electronic seal; the code on it is genuine and in force.",
            "Compare the page with the fields below; where the original is needed, ask for the PDF as issued.",
        ),
    ),
    "SEVERAL_LICENCES": (
        (
            "其中有多份证照的二维码，结果分列如下。",
            "请逐份核验：每次只拍摄或上传一份证照。",
        ),
        (
            "It shows the codes of several licences; what each says is listed below.",
            "Check them one by one: take or upload one licence at a time.",
        ),
    ),
    "KIND_HEIC": (
        (
            "暂不支持 HEIC 格式的照片。",
            "请在手机上把照片另存为 JPG 后上传，或直接用核验页面的扫码功能。",
        ),
        (
            "Photographs in HEIC cannot be read yet.",
            "Save the photo as JPEG on the phone, or scan the code with the camera on the verification page.",
        ),
    ),
    "KIND_OFD": (
        ("暂不支持核验 OFD 文件。", "请上传 PDF 原件，或二维码照片（JPG、PNG）。"),
        ("OFD files cannot be checked yet.", "Use the PDF as issued, or a picture of the code (JPEG, PNG)."),
    ),
    "KIND_OFFICE": (
        (
            "该文件是办公文档（Word、Excel、WPS 等），不是签发的证照。",
            "请上传签发的 PDF 原件，或二维码照片（JPG、PNG）。",
        ),
        (
            "This is an office document (Word, Excel, WPS …), not an e-certificate as issued.",
            "Use the PDF as issued, or a picture of the code (JPEG, PNG).",
        ),
    ),
    "KIND_PACKED": (
        ("该文件是压缩包。", "请先解压，再逐个上传其中的 PDF 原件。"),
        ("This is an archive of files.", "Unpack it first, and check the PDFs in it one by one."),
    ),
    "ACTIVE_CONTENT": (
        ("文件含有脚本等活动内容，不是签发的证照。", "不要打开，请索取原文件。"),
        ("The file holds scripts or other active content.", "Do not open it; ask for the original."),
    ),
    "UNKNOWN_ISSUER": (
        ("签发机构或印章不在信任列表中。", "请更新信任列表，或询问签发机构。"),
        ("The issuer or its seal is not in the trust list.", "Update the trust list, or ask the issuer."),
    ),
    "STATUS_STALE": (
        ("离线数据缺失或已过期，无法确认当前状态。", "请更新离线包，或联网核验。"),
        (
            "Offline data is missing or has expired, so the status is not known.",
            "Fetch a new bundle or go online.",
        ),
    ),
    "TIME_AHEAD": (
        (
            "文件或二维码上的时间晚于本次核验的时间，有一方的时钟不准，因此不能认定有效。",
            "请先核对本机的日期和时间，再重新核验；本机无误的，请联系签发机构。",
        ),
        (
            "It is dated later than the time of this check, so one of two clocks is wrong and nothing is proven.",
            "Check the date and time of this machine and try again; if they are right, contact the issuer.",
        ),
    ),
    "CLOCK_BEHIND": (
        (
            "本机时间早于离线数据的制作时间：本机时钟慢了，或日期设错了。",
            "请校准本机的日期和时间后重新核验；离线数据无需更换。",
        ),
        (
            "By the clock of this machine the offline data was made in the future: the clock is behind.",
            "Set the date and time of this machine and check again; the offline data is fine.",
        ),
    ),
    "TRY_LATER": (
        ("证照状态正在变更。", "请稍后再试。"),
        ("The status is being changed at this moment.", "Try again in a moment."),
    ),
    "REGISTER_EDITED": (
        (
            "系统登记的状态与账本不符，暂不能得出结论。",
            "请向签发部门核实，并告知本系统的管理员；这不说明证照是假的。",
        ),
        (
            "What this system has registered is not what its ledger says, so nothing can be concluded.",
            "Ask the issuing department, and tell the operator of this system; it does not mean a forgery.",
        ),
    ),
    "PARTIAL_COVER": (
        ("印章或签名未覆盖文件的全部内容。", "请索取完整签署的文件。"),
        ("The signature does not cover the whole file.", "Ask for a file that is signed as a whole."),
    ),
    "ENCRYPTED": (
        ("文件已加密（设有打开口令或权限口令），无法核验。", "请在原程序中取消保护，使用未加密的原文件。"),
        (
            "The file is encrypted (by a password to open it, or one that protects it) and cannot be checked.",
            "Take the protection off in its own program, or use the original.",
        ),
    ),
    "BROKEN_PDF": (
        ("文件已损坏或被改动，无法读取。", "请索取原文件。"),
        ("The file is damaged or was changed, and cannot be read.", "Ask for the original file."),
    ),
    "BROKEN_AND_UNKNOWN": (
        ("文件已损坏，无法读取；是否被改动无从得知。", "请重新获取文件，或索取原文件。"),
        (
            "The file is damaged and cannot be read; whether it was changed is not known.",
            "Fetch it again, or ask for the original file.",
        ),
    ),
    "LIMIT_EXCEEDED": (
        ("文件超出处理限度，未能核验。", "如确为签发的证照，请索取原文件。"),
        ("The file exceeds what can be processed safely.", "If it is genuine, ask for a fresh copy."),
    ),
    "CANNOT_BE_READ": (
        ("文件无法读取。", "请索取原文件。"),
        ("The file cannot be read.", "Ask for the original file."),
    ),
    "NOT_IN_REGISTER": (
        (
            "登记簿中没有这份文件的摘要：可能是另存的副本，或不是本系统签发的。",
            "请核验文件本身，或索取原文件。",
        ),
        (
            "The register gave out no file with this digest: it may be a copy saved anew, or not ours.",
            "Verify the file itself, or ask for the original.",
        ),
    ),
    "NOT_PROVEN": (
        ("未能完成全部必要的核验。", "请联网重试，或询问签发机构。"),
        ("Not every required check could be made.", "Try again online, or ask the issuer."),
    ),
    "NOT_OURS": (
        ("这不是本系统的二维码。", "请扫描证照上的二维码，或上传签发的 PDF 原件。"),
        (
            "This is not a code of this system.",
            "Scan the code on the e-certificate, or use the PDF as issued.",
        ),
    ),
    "UNREADABLE": (
        ("未识别到二维码。", "请靠近并只拍二维码，或上传 PDF 原件。"),
        ("No code was recognised.", "Move closer and take the code alone, or use the PDF as issued."),
    ),
    "CODE_DAMAGED": (
        ("二维码内容不完整或有误。", "请重新扫描证照上的二维码，或上传 PDF 原件。"),
        ("The code is incomplete or damaged.", "Scan it again, or use the PDF as issued."),
    ),
    "TYPED_IDENTIFIER": (
        (
            "这是电子证照标识，凭标识不能核验真伪。",
            "请扫描证照上的二维码，或上传签发的 PDF 原件。",
        ),
        (
            "This is the identifier of an e-certificate; by itself it proves nothing.",
            "Scan the code on the e-certificate, or use the PDF as issued.",
        ),
    ),
    "TYPED_HOLDER": (
        (
            "这是持证主体的代码或号码，不能用来查询或核验证照。",
            "请让对方出示证照，扫描其二维码，或上传签发的 PDF 原件。",
        ),
        (
            "This is the number of a person or an organisation; e-certificates cannot be looked up by it.",
            "Ask for the e-certificate and scan its code, or use the PDF as issued.",
        ),
    ),
    "TYPED_REPORT_CODE": (
        ("这是核验报告的编号，不是证照上的二维码。", "请在“报告查询”中输入，可查询该次核验。"),
        (
            "This is the code of a report, not the code on an e-certificate.",
            "Enter it under “Reports” to look that check up.",
        ),
    ),
    "TYPED_NUMBER": (
        (
            "这是一串编号，不是证照上的二维码；凭编号不能核验真伪。",
            "请扫描证照上的二维码，或上传签发的 PDF 原件。",
        ),
        (
            "This is a number, not the code on an e-certificate; by itself it proves nothing.",
            "Scan the code on the e-certificate, or use the PDF as issued.",
        ),
    ),
    "NOT_A_PDF": (
        ("暂不支持此类文件。", "请上传 PDF 原件，或二维码照片（JPG、PNG）。"),
        (
            "This kind of file cannot be checked.",
            "Use the PDF as issued, or a picture of the code (JPEG, PNG).",
        ),
    ),
    "TOO_LARGE": (
        ("文件过大。", "请上传不超过 20 MiB 的原文件。"),
        ("The file is too large.", "Use the original, 20 MiB at most."),
    ),
}


_UNDATED: Mapping[str, tuple[str, str]] = {
    "REVOKED": ("该证照已被{issuer}废止。", "Revoked by {issuer}."),
    "SUSPENDED": ("该证照已暂停使用。", "Suspended."),
    "REPLACED": ("该证照已换发新证，此版本不再使用。", "Replaced by a newer version."),
}


_FALLBACK: Mapping[Verdict, tuple[tuple[str, str], tuple[str, str]]] = {
    Verdict.PASSED: _SENTENCES["OK"],
    Verdict.FAILED: _SENTENCES["BAD_SEAL"],
    Verdict.INDETERMINATE: _SENTENCES["NOT_PROVEN"],
}


_REASONS: Mapping[str, tuple[str, str]] = {
    "rescinded": ("撤销", "Rescinded as granted in error"),
    "penalty": ("吊销", "Revoked as a penalty"),
    "cancelled": ("注销", "Cancelled"),
}


CHECKS: Mapping[str, tuple[str, str]] = {
    "trust-list": ("信任列表", "Trust list"),
    "status-list": ("状态列表", "Status list"),
    "crl": ("吊销列表", "Revocation lists"),
    "checkpoint": ("账本检查点", "Checkpoint of the ledger"),
    "bundle": ("离线包完整一致", "The bundle is whole"),
    "file.signatures": ("文件中的签名均可见", "Every signature in the file is shown"),
    "file.end": ("末个签名覆盖到文件结尾", "The last signature covers the file to its end"),
    "signature": ("签名", "Signature"),
    "file.format": ("文件格式", "File format"),
    "file.objects": ("文件结构", "Objects in the file"),
    "file.active-content": ("无活动内容", "No active content"),
    "seal.present": ("电子印章齐全，无多余签名", "All expected seals, no unexpected signatures"),
    "file.gap": ("印章覆盖全部内容", "The seal covers the whole file"),
    "file.structure": ("盖章后未追加内容", "Nothing added after the seal"),
    "seal.signature": ("印章签名", "Signature of the seal"),
    "seal.library": ("独立软件复核", "Re-checked by independent software"),
    "seal.crl": ("吊销列表在有效期内", "Revocation lists are in date"),
    "seal.chain": ("印章证书链", "Certificates of the seal"),
    "seal.time": ("时间戳", "Time-stamp"),
    "seal.time-ahead": ("时间戳不晚于现在", "The time-stamp does not lie ahead"),
    "code.time-ahead": ("签发时间不晚于现在", "The time of issue does not lie ahead"),
    "ledger.time": ("账本时间", "Time of the ledger"),
    "seal.data": ("印章数据（GB/T 38540）", "Seal data (GB/T 38540)"),
    "seal.picture": ("页面印模与印章数据一致", "Picture on the page is the seal's own"),
    "file.versions": ("归档版本逐字节相符", "Later versions agree to the byte"),
    "file.licence": ("签发的原文件可读", "The issued file can be read"),
    "archive.time": ("归档时间戳", "Time-stamps of the later versions"),
    "data.file": ("内嵌证照数据", "Data inside the file"),
    "ledger.receipt": ("账本回执", "Ledger receipt"),
    "register.file": ("与登记文件一致", "Same file as in the register"),
    "seal.issuer": ("印章在信任列表中", "The seal is in the trust list"),
    "issuer.deployment": ("签发平台受信任", "The issuing deployment is trusted"),
    "issuer.entitled": ("签发机构资格", "Entitlement of the issuer"),
    "status": ("证照状态", "Status of the e-certificate"),
    "file.form": ("文件写法", "How the file is written"),
    "revocation": ("吊销核查", "Revocation"),
    "claimed-time": ("自称的签署时间", "Time that the signer claims"),
    "status.witnessed": ("状态列表经独立方见证", "Status list seen by independent witnesses"),
    "validity": ("有效期", "Term of validity"),
    "code.format": ("二维码格式", "Form of the code"),
    "code.signature": ("二维码签名", "Signature of the code"),
    "file.copy": ("签发的原文件（而非扫描件）", "The file as issued, not a copy"),
    "code.one": ("只有一份证照", "One licence only"),
    "code": ("二维码", "Code"),
    "code.live": ("动态码在有效时间内且首次使用", "Live code is fresh and used once"),
}


REMARKS: Mapping[str, tuple[str, str]] = {
    "NOT_IN_ORDER": (
        "文件的写法有瑕疵，各种阅读器都会略过",
        "the file has small flaws, which every viewer overlooks",
    ),
    "REVOCATION_NOT_CHECKED": (
        "未核查签名人的证书是否已被吊销",
        "revocation was not checked",
    ),
    "CLAIMED_TIME_AHEAD": (
        "签名人自称的签署时间晚于现在；该时间未经证明",
        "the time that the signer claims lies ahead; nothing proves that time",
    ),
    "LEDGER_TIME_AHEAD": (
        "账本记载的时间晚于现在（当时记账的时钟不准）；签发时间以时间戳为准",
        "the ledger dates it ahead, by a clock that was wrong then; the time-stamp says when it was issued",
    ),
    "NOT_WITNESSED": (
        "状态列表尚未经足够的独立方见证",
        "not enough independent witnesses have seen the status list yet",
    ),
}
"""Texts of remarks, which are told beside a verdict and do not affect it, by the code of the finding."""


NOT_CHECKED: Mapping[str, tuple[str, str]] = {
    "revocation": ("签名人的证书是否已被吊销", "whether the signer's certificate was revoked"),
    "presenter": ("出示人是否为持证人本人", "whether the person presenting is the holder"),
    "page": ("纸面其余内容（请与上列信息核对）", "the rest of the page (compare it with the details above)"),
}


_TYPED = {
    "identifier": "TYPED_IDENTIFIER",
    "credit-code": "TYPED_HOLDER",
    "identity-number": "TYPED_HOLDER",
    "report-code": "TYPED_REPORT_CODE",
    "number": "TYPED_NUMBER",
}
"""Texts for typed input that is not a code (`facts["typed"]`)."""


_OF_OTHERS = {"STATUS_STALE": "SIGNER_STATUS_UNKNOWN", "UNKNOWN_ISSUER": "UNKNOWN_SIGNER"}
"""Codes with another text for files signed by others, where a bundle of ours would not help."""


def words_for(report: Report, language: Language) -> Words:
    """The texts of a report. Dates are in China's time and in the usual form of the language."""
    side = 0 if language == "zh-CN" else 1
    is_foreign = report.is_passed_of_others
    code = "FOREIGN" if is_foreign else report.code
    if is_foreign and "revocation" in report.not_checked:
        code = "FOREIGN_REVOCATION_NOT_CHECKED"
    if report.facts.get("profile") == "foreign" and _decided_by_signature(report):
        code = _OF_OTHERS.get(code, code)
    if code == "UNREADABLE" and report.kind.endswith("code"):
        code = "CODE_DAMAGED"
    if code == "NOT_OURS" and report.facts.get("typed") in _TYPED:
        code = _TYPED[str(report.facts["typed"])]
    if code == "BROKEN_PDF" and report.verdict is Verdict.INDETERMINATE:
        code = "BROKEN_AND_UNKNOWN"
    sentence, advice = _SENTENCES.get(code, _FALLBACK[report.verdict])[side]
    status: Any = report.facts.get("status") or {}
    ecertificate: Any = report.facts.get("ecertificate") or {}
    presentation: Any = report.facts.get("presentation") or {}
    issuer_zh, issuer_en = ecertificate.get("issuer_name_zh"), ecertificate.get("issuer_name_en")
    reason = _REASONS.get(str(status.get("reason")), ("废止", "Revoked"))[side]
    if not status.get("changed_at") and code in _UNDATED:
        sentence = _UNDATED[code][side]  # a status list gives the status without its date
    values = {
        "date": show_date(status.get("changed_at"), language),
        "until": show_date(ecertificate.get("valid_until") or _valid_until(report), language),
        "reason": reason,
        "deployment": _deployment_name(report.facts, side),
        "audience": str(presentation.get("audience") or ""),
        "issuer": (issuer_en if side else issuer_zh)
        or issuer_zh
        or ("签发机构" if side == 0 else "its issuer"),
    }
    headline = _FOREIGN_HEADLINE[language] if is_foreign else _HEADLINES[language][report.colour]
    return Words(headline, sentence.format(**values), advice)


def _decided_by_signature(report: Report) -> bool:
    """True if the deciding finding is about a signature by others, not about a list of ours."""
    undecided = [f for f in report.findings if f.result in (Result.FAILED, Result.INDETERMINATE)]
    return bool(undecided) and undecided[0].check.startswith("signature.")


def messages_of(report: Report) -> dict[str, dict[str, str]]:
    """The texts in both languages, for a report's JSON."""
    languages: tuple[Language, ...] = ("zh-CN", "en")
    found = {language: words_for(report, language) for language in languages}
    return {
        language: {"headline": words.headline, "sentence": words.sentence, "advice": words.advice}
        for language, words in found.items()
    }


_SEAL_NOW: Mapping[str, tuple[str, str]] = {
    "in-force": ("在有效期内，可以使用", "in force"),
    "expired": ("已到期；到期前所盖的章依然有效", "out of its term; what it sealed before stays valid"),
    "frozen": (
        "已冻结或挂失；此前所盖的章依然有效",
        "frozen or reported lost; what it sealed before stays valid",
    ),
    "withdrawn": ("已注销或停用；此前所盖的章依然有效", "withdrawn; what it sealed before stays valid"),
}
"""Texts on a seal's state since its use (`facts["seal"]["now"]`)."""


_FURTHER: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "personal": (
        ("责任人名章", "{name}，{when}"),
        ("Name seal of the person responsible", "{name}, {when}"),
    ),
    "abroad": (
        ("供境外核验的印章", "{suite}，{when}；法律效力以签发机关的 SM2 印章为准"),
        ("Seal for readers abroad", "{suite}, {when}; in law the authority's seal in SM2 counts"),
    ),
}
"""Texts on the further seals of a licence (`facts["further_seals"]`), by role."""


def seal_words(facts: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
    """Labelled texts: the signers of a file of others; a licence's deployment, if not ours; its seal then and now;
    whether it was archived.

    Only for reports whose object is what was sealed. For a code, only the deployment.
    """
    side = 0 if language == "zh-CN" else 1
    seal: Mapping[str, Any] = facts.get("seal") or {}
    versions: Any = facts.get("versions") or []
    lines = signer_words(facts, language)
    if deployment := _deployment_name(facts, side):
        label = ("出自信任列表中的其他平台", "From another deployment in the trust list")[side]
        lines.append((label, deployment))
    if seal:
        when = show_date(seal.get("stamped_at"), language)
        used = (
            f"有效：{when}，由时间戳证明",
            f"in force: {when}, as its time-stamp proves",
        )
        lines.append((("盖章时的印章", "The seal when it was used")[side], used[side]))
    if seal.get("now") in _SEAL_NOW:
        lines.append((("印章现状", "The seal now")[side], _SEAL_NOW[seal["now"]][side]))
    for further in facts.get("further_seals") or []:
        if further.get("role") in _FURTHER:
            label, value = _FURTHER[further["role"]][side]
            when = show_date(further.get("stamped_at"), language)
            lines.append(
                (label, value.format(name=further.get("name"), suite=further.get("suite"), when=when))
            )
    if versions:
        last = show_date(versions[-1]["stamped_at"], language)
        count = len(versions)
        archived = (
            f"已归档 {count} 次，最近于 {last}；证书到期后仍可核验",
            f"{count} time{'s' if count > 1 else ''}, last on {last}; "
            "the file can be verified after its certificates have run out",
        )
        lines.append((("长期保存", "Archived")[side], archived[side]))
    return lines


def signer_words(facts: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
    """Labelled texts on each signature in a file of others: signer, level, time if proven, and what it shows."""
    side = 0 if language == "zh-CN" else 1
    unproven = ("时间未经证明", "time not proven")[side]
    shows = ("在页面上另加了图样", "put a picture of its own on a page")[side]
    lines: list[tuple[str, str]] = []
    for signature in facts.get("signatures") or ():
        if signature["format"] == "RFC3161" or not signature["signer"]:
            continue
        named = (("签名人", "Signed by") if signature["passed"] else ("自称的签名人", "Signed, it says, by"))[
            side
        ]
        when = signature.get("best_time")
        parts = [
            signature["signer"],
            signature["format"],
            show_date(when, language) if when else unproven,
            # What the first signature shows was there when it signed; signers before a later one have not seen its.
            shows if signature["is_shown"] and lines else "",
        ]
        lines.append((named, " · ".join(filter(None, parts))))
    label = ("备注", "Remark")[side]
    lines += [(label, REMARKS[code][side]) for code in facts.get("remarks") or () if code in REMARKS]
    return lines


def _deployment_name(facts: Mapping[str, Any], side: int) -> str:
    deployment: Mapping[str, Any] = facts.get("deployment") or {}
    return str(deployment.get(("name_zh", "name_en")[side], ""))


def _valid_until(report: Report) -> str | None:
    return next((f.detail for f in report.findings if f.check == "validity" and f.code == "EXPIRED"), None)
