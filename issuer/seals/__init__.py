"""E-seals from application to revocation. `lifecycle`: the steps; `making`: key, certificate and picture; `policy`:
permitted uses; `using`: each use and its limits; `registry`: queries."""
