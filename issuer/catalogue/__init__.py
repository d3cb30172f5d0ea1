"""The catalogue: the types of e-certificates and the rules of each."""

from issuer.catalogue.checking import CheckedFields, MissingCharacters, check_fields, shown_fields
from issuer.catalogue.profile import (
    Category,
    FieldProfile,
    FieldType,
    HolderKind,
    Name,
    Role,
    SealRule,
    TypeProfile,
    Validity,
    load_catalogue,
    load_profile,
    read_profile,
)

__all__ = [
    "Category",
    "CheckedFields",
    "FieldProfile",
    "FieldType",
    "HolderKind",
    "MissingCharacters",
    "Name",
    "Role",
    "SealRule",
    "TypeProfile",
    "Validity",
    "check_fields",
    "load_catalogue",
    "load_profile",
    "read_profile",
    "shown_fields",
]
