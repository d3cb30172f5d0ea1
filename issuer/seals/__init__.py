"""E-seals from the application to their last use: `policy` what each may seal, `using` each use with its limits,
`lifecycle` the steps, `making` key, certificate and picture, `registry` questions."""
