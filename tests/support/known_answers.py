"""Answers that are known from elsewhere and too long to stand in a test, each with its source."""

from __future__ import annotations

from ledger.note import SignerKey, parse_skey

# The test log of transparency-dev/tessera, testdata/log (Apache-2.0): fifteen words, one entry each. Its key is
# public and signs only this. Of its files the SHA-256 stands here, one over all of a kind in the order of size.
GOLDEN_KEY: SignerKey = parse_skey(
    "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"
)
GOLDEN_VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
GOLDEN_WORDS = b"one two three four five six seven eit nain ten ileven twelf threeten fourten fivten".split()
GOLDEN_CHECKPOINTS = "c366c82fdd7c77311b8141fbd3769670884dba48445f343867c348455de269fd"
"""checkpoint.0 to checkpoint.15"""
GOLDEN_TILES = "6147d997134c4e075c775d78f068c9f0f34bde798afab9b0629bf9d4d052c883"
"""tile/0/000.p/1 to 15"""
GOLDEN_BUNDLES = "7fed63ecf907418a98f8b444962460fa32b8db032e83f18d185be8fb1e498370"
"""tile/entries/000.p/1 to 15"""

# Made by us after C2SP tlog-cosignature; cryptography 50, dilithium-py 1.5 and @noble/post-quantum 0.7 accept it.
POST_QUANTUM_SEED = bytes.fromhex("77cedc614c98655e6becadcac696eb6f4f41414d6b6b72df48f3f7410c31aaf8")
POST_QUANTUM_VKEY_SHA256 = "dac5fe559fa43ead01063c6fccebfc871e99c7f878c780eefd3bcfc04e01cb37"
POST_QUANTUM_LINE = (
    "— witness.example.org "
    "/bbDuAAAAABpVGeArXzslwqfiJF865UYpIX+YtoKOeoo2pbWCY8tjgrXLNeCrNLSkUW8JMMGAmWvntMH5J6PWMmVHVcD1RkHY1nmjY4sy44w5irX"
    "EHYITlha7q/AD51IaCx03sDklXiLNU4dOx+hLEOrNHEKm018N8DLB42HROpeHDio/H3WPbKSRp56ov2KKl3Vo8WOrzjcjFp5ZgEjMoCQqKKFT7yW"
    "xPQHzRstMtc/rS4WzU0CTpB9w7gQAQAJwt4RPJMGPbLUB2dRZemF+8uDdper/Zt97m6QBOZF4B8zWcPWlgwgkLA4cokDnxWCWJILl8spf4Z9uX3A"
    "8wdIjLU6soTnOnfJFkTW0cszuwcDG64PBM8VCAfL8aBDGjpqzevouXzRhhmuCHo6EXbf6ma7xjGYu0BBF/rR5i34CZqyk6dvubxlRNfni3bA3bSZ"
    "3HMmDUhOOB9VbD3F/st6RokXiC4AlsVk7wUsdK6RbLNVonDb1QYFK3gV0lGalGUFf1lyOjApGDIrclZaLoFAyWLZT6gGuYAWeiG61safreEd79ka"
    "HcCazTJHF+oRKKZ4+NQd8X7ZEAtXsksv4Ow4v7Na5XlU5wSR2LsbAsa7b1yzdpgZbzaYSaguM84+el73pFzoH1MYMsnKbepMgqD6xjf3Wz81Pk9/"
    "66DZjuqUjLynYzoQwpkj5nGW0HPhrQU7eLBRAuYRpL/uYVscjMrZTya8WyBf9Q1fbx8qQenCcKjJpPvXD1ZGmZMGfULgb6vsZLWl9b1dxTciHnSx"
    "JDQHcjShlxbcra4hO3iTUVRbLIneGtbKDc/8FbaHdswZLwhB7+JMkSTldVoCm20allmcHEVdp8d9c4MqXuRN3jraFw8/heTda9h+xE/y2GQkpnDS"
    "vENhNNAlgto5uVPqdKWbkHCuT6ByV1Ffq0c2jL385hmRZicD1Z5dsAmdn+x9UlOcxDPgSA6arKflgN9HdkhNsOje4zSAXSPZiKU197tubdlZ23wj"
    "UKgE5Trl14NZLDYfy+xIIBIHZ90HC0Q11d8FvXWPF9sisUWqdG9/3DJdmu2sNQe4PoAg6VXSjZM+12Bmt9hA6uGeikVWgXX2XzK/p1wqwcXAFe1G"
    "LbCiFcNov9qFLO/CyXLgM7yFEgXDnZOG7By33hv50YeCztreGLjwqA+SEDJ17DdEqpuuGE3s1BBHiBJc99UcmhUmweZPDuX8JXhlRKoynbNcgSSG"
    "ikqUuAV09X/J5uy4So6+VzpfFgmWtg2ZfKBTa9/Q1P3n+v9J5dVBPfTiQClI7wiou5T2UgoF296aD6ihWrw1LPwGn1Ba46cl6s2HLTgL9FsTyAlQ"
    "4gfcrHUk9A7Jr8QptRhFeKqpjaYQ1KOqTc9IjEUOhDxwi69kL66bhDdJsDmU/USjmWDXdysQEOE0dE2jO+ZUbEbHGaPI7oSXvECUAD4+SkE+DHL1"
    "2TbHQ086aWIyZgnvDZsRxFXo07wHxqixGMTbkBvNRm2n46e7KsT4wY0onOAuaQUUJBbfvwBGuWH8oIOBL7y6c2mtMsaIxkEAGtQgwIIp50GIY0r5"
    "0Rz+CIDo8IDF0RKBgn8ZkZy1YTYlcERs7tMVLJssygLud5fL8NwFqheMq4JpCtt6LW7xWbGmGWUAl2AeO1V1MjZLgmvYUch8CrJfT7aFUjjyfXLT"
    "Kw1FduLyay0mTD/HDGOAwNTLBLwvGYNAy9XDBf5QCf+UF1G3xuky8QuGiOsi7+1YsunxDvSHx6lmFjvAj4cZRqpYqezn0ZT5uR3mY6KbDnWPEh9A"
    "x2q0aCdyg6iPDDpN1idfqzTIIopA+wumDohC/QTmjDxHkXrTj3HuMKCy4TiGKG21rWRtZGH2AtXTV+balC4WpQ00Jgjoc50lNM9+Ylju9+0HUeh1"
    "0v0nlpr3qq6M96lDG0Kqdd/rKhW02DMxRvcMAz4Pb0q5L0f3nZwoNlaSSd7WQbmje9+XT9cCXsH4E9AanV002hV4StiyKQff3yla4CnREYYqcB1W"
    "vIu6rfiXA3g0J8Jb+yTbE6p058lgRpHCaK9MKvu7WtUSS70KuzRWIzHhhoWqKeKS046gV9ofbmjesQLdIGEGjiMG53quY2siQPz+GqfnfWcNmkuX"
    "lwRL5XsvRG+QWPz8TC1RzL+ucVYErOx9duOgLDmUJJ+UNLv5E8Mi8LaXoeTpUeR3kiHR0xBgkB9pcoStiB7t4EavasqKwDRjmofnV52CkoD0avl6"
    "s6RUpkGwUqynUMSUP4wcGQLNp7MLrFqm6RcDLZW3oxXngreULVL5kNHSLlIWH7+cYF8dnk0DJtTE80cvb41O2CF3eK6es8Czc07s1O67Xd+N2Rrv"
    "2as2GWZ0V3ZJ8+R4zIGW/38MyW2v+81nwX3USdf3CKHz1UBqUuPUPCCnrZ81rlOOmWrkBZYyiYa6Q9WtXcIGzZI4aIXHf2nMQIp3T/y3DjUlVTYJ"
    "01GFWrnTs3DdDlcJLDLOOszWVKJeTrWmcZ8FvD1HoUuKiS5rX6GoDYSD5I/4cy37MXyqN+p/Y8to8zjiqhE1mJmI73Bf6cYLUpYz1Q7WUJ15jDuu"
    "odeDYq6HihBxJgprSbB0mu/HH4lGfYDm+MwN6UgMWyLRqP4kv04F9uZcNHf3elDVDnRjcMTjRS4MNdL1DwAjuFKNcRtcE71y0jLN5X/Iz8UPBc2M"
    "U6VdZKsVy49CnRrKyuKFtBVNvvJsmv3HMae+kfQaAyqHrNC54k+sXZmEHWcZHfHlN4lKuad6HH8MMi22+Dl4fWO9fF0NH+z48496gkPXhp1BPxFa"
    "dbqE0LW3MgLuOXMiYEjJcDGIi+SOxLO7QmJZBXC8AxABKbStiZttlz5hObohsq7kXImJvNo2F1R6WMoHgXYoBmQRGYVCrLpEoaC1q0mq4c/1FSvx"
    "xs+tPpku+vpI51DwbDYVkxxNlApr5gi1T//yMChHTUG3KxZfdp0G4q2eb2yc+EpsF8UKHxKOw9M99B8l0ZnWcvBSk+m2O5w3aYW5BwI0drap4Z9w"
    "k5UxYA0tbmSJFsH3vF4z4sdrgcdv4mVGZY0jPJIPNmFthqj/69Kl4EcA/4nmku0PD0XXd1o1RsRbfwOIg+Pyzw6AbTmpU1TkcfQL3eHIalMjNThD"
    "Y2mCm7q76PkGCgw1QURGSF9jdYeK2uP0GCg1OURbYX+AgYmasLO5vb7b3N3e4gQMFxsdLE1OWaKqw97j8foAAAAAAAAAAAAAAAAAAAwcMkI="
)
