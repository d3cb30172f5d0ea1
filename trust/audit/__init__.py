"""The audit trail: what was done, by whom, to which e-certificate."""
