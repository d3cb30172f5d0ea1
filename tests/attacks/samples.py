"""The attacks, by class. Each says which checks may refuse it; those on a licence work on every version of one."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import qrcode
from asn1crypto import cms
from attacks.genuine import Genuine, gap_of
from attacks.raw import appended, flate_bomb, page_tree, stream, written
from PIL import Image
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko_certvalidator.registry import SimpleCertificateStore
from support.producers import with_field

LICENCE, FOREIGN, ANYTHING = "licence", "foreign", "anything"
Make = Callable[[Genuine, bytes], bytes]


@dataclass(frozen=True)
class Attack:
    """`make` gets the genuine files and the one it works on. `checks`: any of them may be the first to refuse it;
    empty where only limits count: what it makes may be a file of somebody's that is well signed."""

    name: str
    kind: str
    profile: str
    checks: tuple[str, ...]
    make: Make


ATTACKS: list[Attack] = []


def attack(kind: str, profile: str, *checks: str) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        ATTACKS.append(Attack(make.__name__.replace("_", "-"), kind, profile, checks, make))
        return make

    return register


def cases(genuine: Genuine) -> Iterator[tuple[Attack, str, bytes]]:
    """(attack, version it was made from, file)."""
    for each in ATTACKS:
        match each.profile:
            case "licence":
                for version, pdf in genuine.files().items():
                    yield each, version, each.make(genuine, pdf)
            case "foreign":
                yield each, "foreign", each.make(genuine, genuine.foreign)
            case _:
                yield each, "", each.make(genuine, b"")


# Signature forgery -----------------------------------------------------------------------------------------

_RANGE = re.compile(rb"/ByteRange \[[^\]]*\]")
_CONTENTS = re.compile(rb"/Contents <[0-9A-Fa-f]+>")


def _in_place(pdf: bytes, pattern: re.Pattern[bytes], new: bytes) -> bytes:
    """The last match replaced by as many bytes."""
    match = list(pattern.finditer(pdf))[-1]
    room = match.end() - match.start()
    assert len(new) <= room
    return pdf[: match.start()] + new.ljust(room) + pdf[match.end() :]


def _forgeries() -> None:
    for name, pattern, new in (
        ("byte-range-missing", _RANGE, b"/Nothing [0 1 2 3]"),
        ("byte-range-null", _RANGE, b"/ByteRange null"),
        ("byte-range-empty", _RANGE, b"/ByteRange []"),
        ("byte-range-negative", _RANGE, b"/ByteRange [0 -1 2 -3]"),
        ("byte-range-of-nothing", _RANGE, b"/ByteRange [0 0 0 0]"),
        ("byte-range-huge", _RANGE, b"/ByteRange [0 9 9 99999999]"),
        ("contents-missing", _CONTENTS, b"/Nothing <00>"),
        ("contents-null", _CONTENTS, b"/Contents null"),
        ("contents-empty", _CONTENTS, b"/Contents <>"),
        ("contents-a-number", _CONTENTS, b"/Contents 7"),
        ("contents-zeros", _CONTENTS, b"/Contents <" + b"00" * 64 + b">"),
    ):
        for profile, checks in (
            (LICENCE, ("file.gap", "file.objects", "seal.present")),
            (FOREIGN, ("signature.1", "file.signatures", "file.objects", "seal.present")),
        ):

            def make(g: Genuine, pdf: bytes, pattern: re.Pattern[bytes] = pattern, new: bytes = new) -> bytes:
                return _in_place(pdf, pattern, new)

            ATTACKS.append(Attack(f"{name}-{profile}", "signature forgery", profile, checks, make))


_forgeries()


# Incremental saving, shadows, annotations ------------------------------------------------------------------


def _updated(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _names(**entries: Any) -> generic.DictionaryObject:
    return generic.DictionaryObject({generic.pdf_name(f"/{key}"): value for key, value in entries.items()})


_BEHIND = (
    "file.gap",
    "file.versions",
    "file.structure",
    "file.objects",
    "seal.present",
    "file.active-content",
)
_AFTER = (
    "signature.1",
    "signature.2",
    "file.end",
    "file.signatures",
    "file.active-content",
    "file.format",
    "file.objects",
)


def _both(
    kind: str, licence: tuple[str, ...] = _BEHIND, foreign: tuple[str, ...] = _AFTER
) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        attack(kind, LICENCE, *licence)(make)
        name = make.__name__.replace("_", "-")
        ATTACKS.append(Attack(f"{name}-of-others", kind, FOREIGN, foreign, make))
        return make

    return register


@_both("incremental saving")
def update_of_a_page(genuine: Genuine, pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        page_ref, _ = writer.find_page_for_modification(0)
        content = generic.StreamObject(stream_data=b"1 1 1 rg 0 0 600 900 re f")
        page_ref.get_object()["/Contents"] = writer.add_object(content)
        writer.mark_update(page_ref)

    return _updated(pdf, change)


@_both("incremental saving", ("file.format", "file.gap", "file.objects"))
def objects_without_a_table(genuine: Genuine, pdf: bytes) -> bytes:
    return pdf + b"4 0 obj\n" + stream(b"0 0 600 900 re f") + b"\nendobj\n%%EOF\n"


@_both("incremental saving", ("file.format", "file.gap", "file.objects"))
def a_trailer_without_a_table(genuine: Genuine, pdf: bytes) -> bytes:
    return pdf + b"trailer\n<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n"


@_both("incremental saving")
def another_catalogue(genuine: Genuine, pdf: bytes) -> bytes:
    return appended(pdf, {900 + number: body for number, body in page_tree().items()}, root=901, size=910)


@_both("shadow: replace")
def another_page_tree(genuine: Genuine, pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        content = writer.add_object(generic.StreamObject(stream_data=b"0 0 600 900 re f"))
        box = generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 595, 842)])
        page = writer.add_object(_names(Type=generic.pdf_name("/Page"), MediaBox=box, Contents=content))
        tree = _names(
            Type=generic.pdf_name("/Pages"), Kids=generic.ArrayObject([page]), Count=generic.NumberObject(1)
        )
        writer.root["/Pages"] = writer.add_object(tree)
        writer.update_root()

    return _updated(pdf, change)


@_both("shadow: hide")
def an_image_laid_over_the_page(genuine: Genuine, pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        page_ref, _ = writer.find_page_for_modification(0)
        page = page_ref.get_object()
        content = writer.add_object(generic.StreamObject(stream_data=b"1 g 0 0 600 900 re f"))
        old = page.raw_get("/Contents") if "/Contents" in page else []
        page["/Contents"] = generic.ArrayObject([*(old if isinstance(old, list) else [old]), content])
        writer.mark_update(page_ref)

    return _updated(pdf, change)


@_both("shadow: hide-and-replace")
def another_form_value(genuine: Genuine, pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        field = _names(FT=generic.pdf_name("/Tx"), T=generic.pdf_string("amount"), V=generic.pdf_string("9"))
        form = writer.root["/AcroForm"]
        form["/Fields"].append(writer.add_object(field))
        writer.update_container(form)
        writer.update_root()

    return _updated(pdf, change)


@_both("evil annotation")
def an_opaque_annotation(genuine: Genuine, pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        page_ref, _ = writer.find_page_for_modification(0)
        page = page_ref.get_object()
        box = generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 595, 842)])
        note = _names(
            Type=generic.pdf_name("/Annot"), Subtype=generic.pdf_name("/FreeText"), Rect=box,
            Contents=generic.pdf_string("valid until 2099"),
        )  # fmt: skip
        page["/Annots"] = generic.ArrayObject([*page.get("/Annots", []), writer.add_object(note)])
        writer.mark_update(page_ref)

    return _updated(pdf, change)


@_both("evil annotation")
def a_time_stamp_that_paints_the_page(genuine: Genuine, pdf: bytes) -> bytes:
    return genuine.producer.stamp(with_field(pdf, "Stamp"), "Stamp")


@_both("evil annotation")
def an_empty_field_that_paints_the_page_before_a_time_stamp(genuine: Genuine, pdf: bytes) -> bytes:
    return genuine.producer.stamp(with_field(pdf, "Empty"), "Stamp")


@_both("sneaky signature", ("file.gap", "seal.present", "file.structure", "file.objects", "file.versions"))
def a_copy_of_the_signature(genuine: Genuine, pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        first = writer.prev.embedded_signatures[0].sig_object
        copy = generic.DictionaryObject({key: first.raw_get(key) for key in first})
        field = _names(FT=generic.pdf_name("/Sig"), T=generic.pdf_string("Two"), V=writer.add_object(copy))
        form = writer.root["/AcroForm"]
        form["/Fields"].append(writer.add_object(field))
        writer.update_container(form)
        writer.update_root()

    return _updated(pdf, change)


@attack("sneaky signature", LICENCE, *_BEHIND)
def a_signature_of_somebody_else(genuine: Genuine, pdf: bytes) -> bytes:
    from pyhanko.sign import signers
    from pyhanko.sign.fields import SigFieldSpec

    class Reckless(signers.PdfSigner):
        def _enforce_certification_constraints(self, reader: Any) -> None:
            """pyHanko itself would not sign a document that allows no changes."""

    signer = genuine.producer.signer
    simple = signers.SimpleSigner(
        signing_cert=signer.asn1_cert, signing_key=signer.asn1_key, cert_registry=SimpleCertificateStore()
    )
    meta = signers.PdfSignatureMetadata(field_name="Own", md_algorithm="sha256")
    out: Any = Reckless(meta, simple, new_field_spec=SigFieldSpec("Own")).sign_pdf(
        IncrementalPdfFileWriter(io.BytesIO(pdf))
    )
    return bytes(out.getvalue())


# Wrapping and padding --------------------------------------------------------------------------------------


@_both(
    "wrapping", ("file.gap", "file.objects", "file.format"), ("signature.1", "file.objects", "file.format")
)
def the_signed_end_moved_behind_something_else(genuine: Genuine, pdf: bytes) -> bytes:
    match = list(_RANGE.finditer(pdf))[-1]
    zero, start, end, rest = (int(each) for each in match.group()[12:-1].split())
    extra = b"\n5 0 obj\n" + stream(b"0 0 600 900 re f") + b"\nendobj\n"
    new = b"/ByteRange [%d %d %d %d]" % (zero, start, end + len(extra), rest)
    moved = pdf[:end] + extra + pdf[end:]
    # What stands in the dictionary is signed; the attacker hopes that the second one counts.
    return moved.replace(match.group(), new.ljust(len(match.group()))[: len(match.group())])


@_both("wrapping", ("file.gap", "file.objects"), ("signature.1", "file.objects"))
def the_gap_widened(genuine: Genuine, pdf: bytes) -> bytes:
    match = list(_RANGE.finditer(pdf))[-1]
    zero, start, end, rest = (int(each) for each in match.group()[12:-1].split())
    new = b"/ByteRange [%d %d %d %d]" % (zero, start - 20, end, rest)
    return pdf.replace(match.group(), new.ljust(len(match.group())))


@_both("data in the padding", ("file.gap",), ("signature.1",))
def bytes_after_the_signature(genuine: Genuine, pdf: bytes) -> bytes:
    match = list(_CONTENTS.finditer(pdf))[-1]
    return pdf[: match.end() - 21] + b"4142434445464748494A" + pdf[match.end() - 1 :]


@_both(
    "dictionary spoofing", ("seal.signature", "file.versions", "file.structure", "file.gap"), ("signature.1",)
)
def another_name_in_the_dictionary(genuine: Genuine, pdf: bytes) -> bytes:
    at = list(re.finditer(rb"/M ?\(D[^)]*?20\d(\d)", pdf))[-1].start(1)
    return pdf[:at] + (b"1" if pdf[at : at + 1] != b"1" else b"0") + pdf[at + 1 :]


# The CMS ---------------------------------------------------------------------------------------------------


def _changed_cms(pdf: bytes, change: Callable[[Any], None]) -> bytes:
    match = next(_CONTENTS.finditer(pdf))
    digits = match.group()[len(b"/Contents <") : -1]
    parsed = cms.ContentInfo.load(bytes.fromhex(digits.decode()))
    change(parsed["content"])
    new: bytes = parsed.dump().hex().upper().encode()  # not forced: that takes minutes
    assert len(new) <= len(digits)
    assert not digits.startswith(new)
    return pdf[: match.start() + 11] + new.ljust(len(digits), b"0") + pdf[match.end() - 1 :]


def _cms(name: str, change: Callable[[Any], None]) -> None:
    def make(genuine: Genuine, pdf: bytes) -> bytes:
        return _changed_cms(pdf, change)

    licence = ("seal.signature", "file.versions", "file.gap", "file.structure")
    ATTACKS.append(Attack(name, "CMS oddities", LICENCE, licence, make))
    foreign = ("signature.1", "file.signatures")
    ATTACKS.append(Attack(f"{name}-of-others", "CMS oddities", FOREIGN, foreign, make))


def _second_signer(signed_data: Any) -> None:
    signed_data["signer_infos"].append(signed_data["signer_infos"][0].copy())


def _own_content(signed_data: Any) -> None:
    signed_data["encap_content_info"] = cms.ContentInfo(
        {"content_type": "data", "content": b"something else"}
    )


def _no_signed_attributes(signed_data: Any) -> None:
    old = signed_data["signer_infos"][0]
    signed_data["signer_infos"][0] = cms.SignerInfo(
        {
            name: old[name]
            for name in ("version", "sid", "digest_algorithm", "signature_algorithm", "signature")
        }
    )


def _no_signer(signed_data: Any) -> None:
    signed_data["signer_infos"] = []


def _no_certificates(signed_data: Any) -> None:
    signed_data["certificates"] = []


def _another_digest(signed_data: Any) -> None:
    signed_data["signer_infos"][0]["digest_algorithm"] = {"algorithm": "md5"}


_cms("two-signers-in-one-cms", _second_signer)
_cms("content-inside-the-cms", _own_content)
_cms("no-signed-attributes", _no_signed_attributes)
_cms("no-signer-in-the-cms", _no_signer)
_cms("no-certificates-in-the-cms", _no_certificates)
_cms("another-digest-algorithm-in-the-cms", _another_digest)


@attack("time-stamp tricks", LICENCE, "seal.signature", "file.versions", "file.gap", "file.structure")
def the_unsigned_parts_of_another_licence(genuine: Genuine, pdf: bytes) -> bytes:
    start, end = gap_of(genuine.other)
    giver = cms.ContentInfo.load(bytes.fromhex(genuine.other[start + 1 : end - 1].decode()))

    def change(signed_data: Any) -> None:
        taken = giver["content"]["signer_infos"][0]["unsigned_attrs"]
        signed_data["signer_infos"][0]["unsigned_attrs"] = taken

    return _changed_cms(pdf, change)


@attack("trust spoofing", ANYTHING, "seal.issuer")
def a_seal_of_the_attackers_own(genuine: Genuine, pdf: bytes) -> bytes:
    return genuine.foreign


@attack("trust spoofing", FOREIGN, "signature.1")
def a_ca_of_the_same_name(genuine: Genuine, pdf: bytes) -> bytes:
    from support.producers import Producer, contract

    return Producer("ecdsa", genuine.producer.at).sign(contract(), "B-T")


@attack("trust spoofing", FOREIGN, "signature.1")
def an_end_entity_that_certifies(genuine: Genuine, pdf: bytes) -> bytes:
    from support.producers import contract

    made = genuine.producer
    return made.sign(contract(), signer=made.new_signer(issuer=made.new_signer("Issuing CA")))


@attack("weak or wrong", FOREIGN, "signature.1")
def a_weak_digest(genuine: Genuine, pdf: bytes) -> bytes:
    from support.producers import contract

    return genuine.producer.sign(contract(), digest="sha1")


@attack("weak or wrong", FOREIGN, "signature.1")
def a_short_key(genuine: Genuine, pdf: bytes) -> bytes:
    from support.producers import contract

    made = genuine.producer
    return made.sign(contract(), signer=made.new_signer(kind="rsa1024"))


# Active content, XML, polyglots ----------------------------------------------------------------------------


def _active() -> None:
    for name in ("JavaScript", "Launch", "SubmitForm", "ImportData", "GoToR", "RichMedia"):

        def make(genuine: Genuine, pdf: bytes, name: str = name) -> bytes:
            def change(writer: IncrementalPdfFileWriter) -> None:
                action = _names(S=generic.pdf_name(f"/{name}"), F=generic.pdf_string("x"))
                writer.root["/OpenAction"] = writer.add_object(action)
                writer.update_root()

            return _updated(pdf, change)

        ATTACKS.append(
            Attack(f"action-{name.lower()}", "active content", LICENCE, ("file.active-content",), make)
        )


_active()


@attack("active content", LICENCE, "file.active-content")
def a_script_by_an_escaped_name(genuine: Genuine, pdf: bytes) -> bytes:
    return appended(pdf, {950: b"<</S/J#61vaScript/J#53(1)>>"}, size=951)


@attack("active content", LICENCE, "file.active-content", "file.objects")
def a_script_in_an_object_stream(genuine: Genuine, pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        holder = writer.prepare_object_stream()
        writer.add_object(
            _names(S=generic.pdf_name("/JavaScript"), JS=generic.pdf_string("1")), obj_stream=holder
        )

    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    if not writer.prev.has_xref_stream:
        return appended(pdf, {950: b"<</S/JavaScript/JS(1)>>"}, size=951)
    return _updated(pdf, change)


@_both("XXE, XML bombs")
def entities_in_the_metadata(genuine: Genuine, pdf: bytes) -> bytes:
    levels = b"".join(b'<!ENTITY %c "%s">' % (c + 1, b"&%c;" % c * 20) for c in range(97, 110))
    xml = (
        b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 50 + b'">' + levels
        + b'<!ENTITY z SYSTEM "file:///etc/passwd">]><x>&z;&n;</x>'
    )  # fmt: skip

    def change(writer: IncrementalPdfFileWriter) -> None:
        kind = _names(Type=generic.pdf_name("/Metadata"), Subtype=generic.pdf_name("/XML"))
        stream = generic.StreamObject(dict_data=kind, stream_data=xml)
        writer.root["/Metadata"] = writer.add_object(stream)
        writer.update_root()

    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    writer._update_meta = lambda: None  # type: ignore[method-assign]  # it would write a date of its own
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@attack("polyglot", LICENCE, "file.format")
def something_before_the_header(genuine: Genuine, pdf: bytes) -> bytes:
    return b"<html><script>1</script>\n" + pdf


@attack("polyglot", LICENCE, "file.format")
def an_archive_after_the_end(genuine: Genuine, pdf: bytes) -> bytes:
    return pdf + b"PK\x03\x04" + bytes(60) + b"PK\x05\x06" + bytes(18)


@attack("polyglot", FOREIGN, "file.format")
def something_before_a_file_of_others(genuine: Genuine, pdf: bytes) -> bytes:
    return b"MZ" + pdf


# Bombs and loops -------------------------------------------------------------------------------------------

_UNSIGNED = ("file.format", "file.objects", "seal.present", "file.read")


def bomb(make: Make) -> Make:
    return attack("bombs", ANYTHING, *_UNSIGNED)(make)


def signed_bomb(make: Make) -> Make:
    """Signed by somebody who has a good certificate: the file may pass, within the limits."""
    return attack("bombs", FOREIGN)(make)


@bomb
def objects_without_number(genuine: Genuine, pdf: bytes) -> bytes:
    return written(page_tree(), size=1_000_000_000)


@bomb
def a_table_of_a_hundred_million(genuine: Genuine, pdf: bytes) -> bytes:
    return written(page_tree()).replace(b"xref\n0 1\n", b"xref\n0 99999999\n", 1)


@bomb
def a_table_before_itself(genuine: Genuine, pdf: bytes) -> bytes:
    made = written(page_tree())
    return written(page_tree(), prev=b"/Prev %d" % int(made[made.rindex(b"startxref") + 9 :].split()[0]))


@bomb
def two_tables_before_each_other(genuine: Genuine, pdf: bytes) -> bytes:
    first = written(page_tree())
    at = int(first[first.rindex(b"startxref") + 9 :].split()[0])
    second = appended(first, {5: b"null"}, size=6)
    later = int(second[second.rindex(b"startxref") + 9 :].split()[0])
    assert at < later
    # Both tables move on by the same number of bytes, which the first one grows by.
    link = b"/Prev %d" % (later + len(b"/Prev %d" % later))
    return second.replace(b"/Root 1 0 R>>", b"/Root 1 0 R" + link + b">>", 1)


@bomb
def arrays_in_arrays(genuine: Genuine, pdf: bytes) -> bytes:
    return written(page_tree() | {5: b"[" * 50_000 + b"]" * 50_000})


@bomb
def dictionaries_in_dictionaries(genuine: Genuine, pdf: bytes) -> bytes:
    return written(page_tree() | {5: b"<</A" * 20_000 + b"<<>>" + b">>" * 20_000})


@bomb
def a_page_tree_that_holds_itself(genuine: Genuine, pdf: bytes) -> bytes:
    return written(page_tree(pages=b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1>>"))


@bomb
def pages_beyond_count(genuine: Genuine, pdf: bytes) -> bytes:
    return written(page_tree(pages=b"<</Type/Pages/Kids[3 0 R]/Count 2000000000>>"))


@bomb
def a_length_of_a_gigabyte(genuine: Genuine, pdf: bytes) -> bytes:
    return written(page_tree(stream(b"q Q", length=1 << 30)))


@bomb
def an_object_that_is_itself(genuine: Genuine, pdf: bytes) -> bytes:
    return written(page_tree() | {5: b"5 0 R", 6: stream(b"", b"/Filter 6 0 R")})


@bomb
def a_packed_table(genuine: Genuine, pdf: bytes) -> bytes:
    """A cross-reference stream of a gigabyte in some kilobytes."""
    data = flate_bomb(1024)
    head = b"%PDF-1.7\n"
    body = stream(data, b"/Type/XRef/Size 150000000/W[1 4 2]/Root 1 0 R/Filter/FlateDecode")
    return head + b"1 0 obj\n" + body + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)


@bomb
def a_packed_object_stream(genuine: Genuine, pdf: bytes) -> bytes:
    data = flate_bomb(512)
    objects = page_tree() | {
        5: stream(data, b"/Type/ObjStm/N 2/First 10/Filter/FlateDecode"),
    }
    table = b"".join(
        bytes([kind]) + where.to_bytes(4, "big") + index.to_bytes(2, "big")
        for kind, where, index in [(0, 0, 0)] + [(2, 5, 0)] * 9
    )
    made = written(objects)
    start = len(made)
    body = stream(zlib.compress(table), b"/Type/XRef/Size 10/W[1 4 2]/Root 1 0 R/Filter/FlateDecode")
    return made + b"9 0 obj\n" + body + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % start


@signed_bomb
def packed_twice(genuine: Genuine, pdf: bytes) -> bytes:
    packed = stream(flate_bomb(900, layers=2), b"/Filter[/FlateDecode/FlateDecode]")
    return genuine.producer.sign(written(page_tree(packed)))


@signed_bomb
def a_packed_attachment(genuine: Genuine, pdf: bytes) -> bytes:
    files = b"/Names<</EmbeddedFiles<</Names[(ecertificate.json) 5 0 R]>>>>"
    objects = page_tree(catalogue=files) | {
        5: b"<</Type/Filespec/F(ecertificate.json)/EF<</F 6 0 R>>>>",
        6: stream(flate_bomb(900), b"/Type/EmbeddedFile/Filter/FlateDecode"),
    }
    return genuine.producer.sign(written(objects))


@signed_bomb
def a_page_of_a_square_kilometre(genuine: Genuine, pdf: bytes) -> bytes:
    return genuine.producer.sign(written(page_tree(media_box=b"[0 0 2834645 2834645]")))


@signed_bomb
def a_form_that_draws_itself(genuine: Genuine, pdf: bytes) -> bytes:
    form = stream(
        b"/X Do /X Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>"
    )
    page = b"/Resources<</XObject<</X 5 0 R>>>>"
    return genuine.producer.sign(written(page_tree(stream(b"/X Do"), page=page) | {5: form}))


@attack("bombs", ANYTHING, *_UNSIGNED, "file.gap")
def fields_that_hold_themselves(genuine: Genuine, pdf: bytes) -> bytes:
    form = b"/AcroForm<</Fields[5 0 R 5 0 R]>>"
    return written(page_tree(catalogue=form) | {5: b"<</T(a)/Kids[5 0 R 5 0 R]>>"})


@attack("bombs", ANYTHING, *_UNSIGNED, "file.gap")
def fields_without_end(genuine: Genuine, pdf: bytes) -> bytes:
    """Thirty levels of two: a thousand million leaves."""
    objects = page_tree(catalogue=b"/AcroForm<</Fields[10 0 R]>>")
    objects |= {n: b"<</T(a)/Kids[%d 0 R %d 0 R]>>" % (n + 1, n + 1) for n in range(10, 40)}
    sig = b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/ByteRange[0 1 2 3]/Contents<00>>>"
    return written(objects | {40: b"<</T(b)/FT/Sig/V 41 0 R>>", 41: sig})


# Not a PDF at all ------------------------------------------------------------------------------------------


def _not_pdf(name: str, data: Callable[[], bytes], *checks: str) -> None:
    ATTACKS.append(Attack(name, "not a PDF", ANYTHING, checks, lambda g, p: data()))


def _png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (8, 8)).save(out, "PNG")
    made = out.getvalue()
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + made[24:29]
    return made[:12] + header + zlib.crc32(header).to_bytes(4, "big") + made[33:]


def _qr(text: str) -> bytes:
    out = io.BytesIO()
    qrcode.make(text).get_image().convert("RGB").save(out, "PNG")
    return out.getvalue()


_not_pdf("nothing", lambda: b"", "file.read")
_not_pdf("zeros", lambda: bytes(70_000), "file.read")
_not_pdf("a-program", lambda: b"\x7fELF" + bytes(500), "file.read")
_not_pdf("only-a-header", lambda: b"%PDF-1.7\n", "file.format")
_not_pdf("a-header-and-an-end", lambda: b"%PDF-1.7\nstartxref\n0\n%%EOF\n", "file.format")
_not_pdf("words", lambda: b"please pass", "code.read")
_not_pdf("a-picture-of-3600-megapixels", lambda: _png(60_000, 60_000), "picture.read")
_not_pdf("a-picture-cut-off", lambda: _png(4000, 4000)[:60], "picture.read")
_not_pdf("a-tiff-loop", lambda: b"II*\0" + b"\x08\0\0\0" * 9000, "picture.read")
_not_pdf(
    "a-code-of-a-payment",
    lambda: _qr("https://pay.fraud.example/Q/ABCDEFGH"),
    "code.read",
    "printed-code.read",
)
_not_pdf(
    "a-code-of-another-host",
    lambda: _qr("HTTPS://V.FRAUD.EXAMPLE/Q/" + "A" * 64),
    "code.read",
    "printed-code.read",
)
_not_pdf("a-code-of-ours-with-nonsense", lambda: _qr("HTTPS://V.CHUNCHENG.EXAMPLE/Q/" + "A" * 640),
         "code.read", "printed-code.read", "code.signature")  # fmt: skip
_not_pdf("a-code-that-is-a-script", lambda: _qr("javascript:fetch('//fraud.example')"), "code.read")
